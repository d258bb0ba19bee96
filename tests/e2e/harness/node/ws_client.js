// npm's ws as a client: ws_client.js PORT CA-FILE 1|2, by Upgrade or, version 2, in streams of one HTTP/2 connection (RFC 8441).
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const http2 = require('http2');
const WebSocket = require('ws');
const { serve, tell } = require('./talk');

const [port, ca, version] = process.argv.slice(2);
const AUTHORITY = 'site.test:' + port;
const secure = { ca: fs.readFileSync(ca), host: '127.0.0.1', servername: 'site.test' };
const sockets = [];
let session;

function by_upgrade(path) {
  return new WebSocket('wss://127.0.0.1:' + port + path, { ...secure, headers: { host: AUTHORITY }, maxPayload: 1 << 26 });
}

async function http2_session() {
  if (session) return session;
  session = http2.connect('https://127.0.0.1:' + port, secure);
  session.on('goaway', code => tell('goaway', { code }));
  session.on('error', e => tell('error', { error: String(e) }));
  const settings = await new Promise(done => session.on('remoteSettings', done));
  if (!settings.enableConnectProtocol) throw new Error('no extended CONNECT');
  return session;
}

// ws asks for no stream by itself, but takes one over as it takes over a socket.
async function by_http2(path) {
  const deflate = new WebSocket.PerMessageDeflate({ threshold: 100 }, false);
  const offer = WebSocket.extension.format({ [WebSocket.PerMessageDeflate.extensionName]: deflate.offer() });
  const stream = (await http2_session()).request({
    ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'https', ':path': path, ':authority': AUTHORITY,
    'sec-websocket-version': '13', 'sec-websocket-extensions': offer,
  });
  const fields = await new Promise((done, fail) => stream.on('response', done).on('error', fail));
  if (fields[':status'] !== 200) throw new Error('answered ' + fields[':status']);
  const s = new WebSocket(null, undefined, { autoPong: true, closeTimeout: 30000 });
  s._isServer = false;
  const accepted = WebSocket.extension.parse(fields['sec-websocket-extensions'] || '')[WebSocket.PerMessageDeflate.extensionName];
  if (accepted) {
    deflate.accept(accepted);
    s._extensions[WebSocket.PerMessageDeflate.extensionName] = deflate;
  }
  setImmediate(() => s.setSocket(stream, Buffer.alloc(0), { maxPayload: 1 << 26 }));
  return s;
}

// A client sends it, and the same comes back.
function echo(s, message) {
  return new Promise((done, fail) => {
    const gone = code => fail(new Error('closed with ' + code));
    s.once('close', gone);
    s.once('message', (data, binary) => {
      s.off('close', gone);
      const same = data.equals(Buffer.from(message)) && binary === Buffer.isBuffer(message);
      same ? done(message.length) : fail(new Error('another message came back'));
    });
    s.send(message);
  });
}

async function open(path) {
  const s = version === '2' ? await by_http2(path) : by_upgrade(path);
  await new Promise((done, fail) => s.on('open', done).on('error', fail));
  sockets.push(s);
  s.on('pong', data => tell('pong', { data: data.toString() }));
  s.on('ping', data => tell('ping', { data: data.toString() }));
  s.on('close', (code, reason) => tell('closed', { code, reason: reason.toString() }));
  return s.extensions;
}

serve({
  open: ({ path, count = 1 }) => Promise.all(Array.from({ length: count }, (_, i) => open(path + i))),
  // Text that shrinks and bytes that do not, of these sizes, by each socket.
  echo: ({ sizes }) => Promise.all(sockets.map(async s => {
    for (const n of sizes) {
      await echo(s, 'all work and no play '.repeat(Math.ceil(n / 21)).slice(0, n));
      await echo(s, crypto.randomBytes(n));
    }
  })),
  ping: ({ data }) => sockets.forEach(s => s.ping(data)),
  close: ({ code, reason }) => sockets.forEach(s => s.close(code, reason)),
});
