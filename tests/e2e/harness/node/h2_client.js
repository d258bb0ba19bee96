// Node's http2 as a client, one session: h2_client.js PORT CA-FILE; no file: without TLS.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const http2 = require('http2');
const { serve, tell, gate } = require('./talk');

const [port, ca] = process.argv.slice(2);
const AUTHORITY = 'site.test:' + port;
const second_half = gate();
let session;

function connect() {
  const secure = { ca: ca && fs.readFileSync(ca), host: '127.0.0.1', servername: 'site.test' };
  session = ca ? http2.connect('https://127.0.0.1:' + port, secure) : http2.connect('http://127.0.0.1:' + port);
  session.on('goaway', code => tell('goaway', { code }));
  session.on('error', e => tell('error', { error: String(e) }));
  session.on('close', () => tell('close'));
  return new Promise(done => session.on('remoteSettings', settings => done({ alpn: session.alpnProtocol, settings })));
}

// What came of a stream, to its end.
function outcome(stream) {
  return new Promise((done, fail) => {
    const got = { status: 0, trailers: {}, interim: [] };
    const parts = [];
    stream.on('headers', h => got.interim.push(h[':status']));
    stream.on('response', h => Object.assign(got, { status: h[':status'], fields: h }));
    stream.on('trailers', t => (got.trailers = { ...t }));
    stream.on('data', d => parts.push(d));
    stream.on('error', fail);
    stream.on('end', () => done({ ...got, body: Buffer.concat(parts) }));
  });
}

const head = (path, more) => ({ ':authority': AUTHORITY, ':scheme': ca ? 'https' : 'http', ':path': path, ...more });

// A body in two halves, the second when `finish` is called; then a trailer.
async function post(path, body) {
  const stream = session.request(head(path, { ':method': 'POST' }), { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': crypto.createHash('sha1').update(body).digest('hex') }));
  const came = outcome(stream);
  const half = body.length >> 1;
  stream.write(body.subarray(0, half));
  await second_half.opened;
  stream.end(body.subarray(half));
  const { status, body: back, trailers } = await came;
  return { status, same: back.equals(body), length: back.length, trailers };
}

serve({
  connect,
  get: async ({ path }) => {
    const came = await outcome(session.request(head(path)));
    return { ...came, body: came.body.toString() };
  },
  get_many: async ({ path, count }) => {
    const streams = Array.from({ length: count }, (_, i) => outcome(session.request(head(path + i))));
    return (await Promise.all(streams)).map(s => ({ status: s.status, body: s.body.toString() }));
  },
  post_many: ({ path, sizes }) => Promise.all(sizes.map(n => post(path, crypto.randomBytes(n)))),
  finish: () => second_half.open(),
  close: () => new Promise(done => session.close(done)),
});
