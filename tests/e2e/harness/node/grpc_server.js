// A gRPC server by @grpc/grpc-js: grpc_server.js [PEM-FILE]. What it does with a call the client's metadata says, as `do`:
//
//   echo   the messages come back; the metadata too, at the head and behind
//   fail   it ends with the status that `status` and `message` say; with `late`, behind a message
//   hold   it is answered when the gate is opened; what has it end before is told
'use strict';
const fs = require('fs');
const http2 = require('http2');
const net = require('net');
const grpc = require('@grpc/grpc-js');
const { service, NO_LIMIT } = require('./grpc_service');
const { serve, tell, gate } = require('./talk');

const [pem] = process.argv.slice(2);
const held = gate();
const peers = new Set(); // the connections, by the address of their other end

// What grpc-js listens with. Its own tryShutdown closes sessions, and Node 18 then loses the ends of streams.
const servers = [];
const sessions = new Set();
for (const name of ['createServer', 'createSecureServer']) {
  const create = http2[name];
  http2[name] = (...given) => {
    const server = create(...given);
    servers.push(server);
    server.on('session', s => {
      sessions.add(s);
      s.on('close', () => sessions.delete(s));
    });
    return server;
  };
}

const asked = (call, name) => String(call.metadata.get(name)[0] || '');

function begin(call, name) {
  const deadline = call.getDeadline();
  peers.add(call.getPeer());
  tell('call', { name, do: asked(call, 'do'), limited: deadline !== Infinity });
  call.on('cancelled', () => call.answered || tell('cancelled', { name })); // it comes behind a good end, too
  const head = new grpc.Metadata();
  for (const field of ['x-text', 'x-bytes-bin']) for (const value of call.metadata.get(field)) head.add(field, value);
  if (asked(call, 'do') !== 'fail' || asked(call, 'late')) call.sendMetadata(head);
}

// What stands behind the messages.
function trailers(call) {
  const more = new grpc.Metadata();
  more.set('x-behind', 'trailers of ' + (asked(call, 'x-text') || 'a call'));
  more.set('x-behind-bin', Buffer.from([0, 255, 128]));
  return more;
}

const failure = call => ({
  code: Number(asked(call, 'status')),
  details: decodeURIComponent(asked(call, 'message')),
  metadata: trailers(call),
});

async function respond(call, done, body) {
  if (asked(call, 'do') === 'hold') await held.opened;
  call.answered = true;
  if (asked(call, 'do') === 'fail') done(failure(call));
  else done(null, body, trailers(call));
}

// Of a call whose answer is a stream: its end, good or bad.
async function finish(call) {
  if (asked(call, 'do') === 'hold') await held.opened;
  call.answered = true;
  if (asked(call, 'do') === 'fail') call.emit('error', failure(call));
  else call.end(trailers(call));
}

const handlers = {
  Unary(call, done) {
    begin(call, 'Unary');
    respond(call, done, call.request);
  },
  Collect(call, done) {
    const parts = [];
    begin(call, 'Collect');
    call.on('data', d => parts.push(d));
    call.on('end', () => respond(call, done, Buffer.concat(parts)));
  },
  async Scatter(call) {
    begin(call, 'Scatter');
    for (const byte of call.request) {
      const message = Buffer.alloc(Number(asked(call, 'size')), byte);
      if (!call.write(message)) await new Promise(go => call.once('drain', go));
    }
    finish(call);
  },
  Chat(call) {
    begin(call, 'Chat');
    call.on('data', d => call.write(d) || (call.pause(), call.once('drain', () => call.resume())));
    call.on('end', () => finish(call));
  },
};

const server = new grpc.Server(NO_LIMIT);
server.addService(service, handlers);

function credentials() {
  if (!pem) return grpc.ServerCredentials.createInsecure();
  const file = fs.readFileSync(pem);
  return grpc.ServerCredentials.createSsl(null, [{ private_key: file, cert_chain: file }]);
}

serve({
  listen: () => new Promise((done, fail) => server.bindAsync('127.0.0.1:0', credentials(), (e, port) => (e ? fail(e) : done(port)))),
  open: () => held.open(),
  connections: () => peers.size,
  // No more connections nor calls; those that it has go on to their end.
  shut_down: () => {
    servers.forEach(s => net.Server.prototype.close.call(s));
    sessions.forEach(s => s.goaway());
  },
});
