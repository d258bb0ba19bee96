// An origin by Node's own http or http2: web_server.js h1|h1tls|h2|h2tls [PEM-FILE]
//
//   /mirror   the request's body comes back, as it comes, and its trailers beside x-length behind it
//   /held     is answered when the test says `open`
//   others    the path, as text; or the file that `put` has given
'use strict';
const fs = require('fs');
const http = require('http');
const http2 = require('http2');
const https = require('https');
const { serve, tell } = require('./talk');

const [kind, pem] = process.argv.slice(2);
const held = [];
const files = new Map();
const sessions = new Set();
let connections = 0;

function mirror(request, response) {
  let length = 0;
  response.writeHead(200, { 'content-type': 'application/octet-stream', trailer: 'x-length' });
  response.flushHeaders();
  request.on('data', d => {
    length += d.length;
    if (!response.write(d)) {
      request.pause();
      response.once('drain', () => request.resume());
    }
  });
  request.on('end', () => {
    response.addTrailers({ ...request.trailers, 'x-length': String(length) });
    response.end();
  });
}

function answer(request, response) {
  const path = request.url;
  tell('request', { path, version: request.httpVersion, method: request.method });
  response.on('close', () => response.writableEnded || tell('aborted', { path }));
  response.on('error', e => tell('error', { path, error: String(e) }));
  if (path.startsWith('/mirror')) return mirror(request, response);
  request.resume();
  if (path.startsWith('/held')) return held.push(() => response.end(path));
  const file = files.get(path) || { type: 'text/plain', body: path };
  response.writeHead(200, { 'content-type': file.type });
  response.end(file.body);
}

const secure = pem && { key: fs.readFileSync(pem), cert: fs.readFileSync(pem) };
const servers = {
  h1: () => http.createServer(answer),
  h1tls: () => https.createServer(secure, answer),
  h2: () => http2.createServer(answer),
  h2tls: () => http2.createSecureServer({ ...secure, allowHTTP1: true }, answer),
};
const server = servers[kind]();
server.on('connection', () => connections++);
server.on('session', s => {
  sessions.add(s);
  s.on('close', () => sessions.delete(s));
});

serve({
  listen: () => new Promise(done => server.listen(0, '127.0.0.1', () => done(server.address().port))),
  open: () => held.splice(0).forEach(go => go()),
  connections: () => connections,
  put: ({ path, type, body }) => void files.set(path, { type, body }),
  goaway: () => sessions.forEach(s => s.goaway()), // what is on its way is answered
});
