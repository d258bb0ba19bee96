// An origin by npm's ws: every message comes back. What a client does besides is told.
'use strict';
const http = require('http');
const { WebSocketServer } = require('ws');
const { serve, tell } = require('./talk');

const server = http.createServer((request, response) => response.end('no WebSocket'));
const sockets = new WebSocketServer({ server, perMessageDeflate: { threshold: 100 }, maxPayload: 1 << 26 });
sockets.on('connection', (s, request) => {
  tell('connection', { path: request.url, extensions: s.extensions });
  s.on('message', (data, binary) => s.send(data, { binary }));
  s.on('ping', data => tell('ping', { data: data.toString() }));
  s.on('pong', data => tell('pong', { data: data.toString() }));
  s.on('error', e => tell('error', { error: String(e) }));
  s.on('close', (code, reason) => tell('closed', { code, reason: reason.toString() }));
});

serve({
  listen: () => new Promise(done => server.listen(0, '127.0.0.1', () => done(server.address().port))),
  ping: ({ data }) => sockets.clients.forEach(s => s.ping(data)),
  send: ({ data }) => sockets.clients.forEach(s => s.send(data)),
  close: ({ code, reason }) => sockets.clients.forEach(s => s.close(code, reason)),
});
