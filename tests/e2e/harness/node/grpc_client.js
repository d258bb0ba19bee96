// A gRPC client by @grpc/grpc-js, one channel: grpc_client.js PORT CA-FILE
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const grpc = require('@grpc/grpc-js');
const { service, NO_LIMIT } = require('./grpc_service');
const { serve, tell } = require('./talk');

const [port, ca] = process.argv.slice(2);
const Client = grpc.makeGenericClientConstructor(service, 'Peer');
const client = new Client('127.0.0.1:' + port, grpc.credentials.createSsl(fs.readFileSync(ca)), {
  ...NO_LIMIT,
  'grpc.ssl_target_name_override': 'site.test',
  'grpc.default_authority': 'site.test:' + port,
});
const running = new Map(); // calls that have a name, until somebody cancels them
let more = false; // of the calls of run_on

function metadata(fields) {
  const m = new grpc.Metadata();
  for (const [name, value] of Object.entries(fields)) m.set(name, name.endsWith('-bin') ? Buffer.from(value, 'hex') : String(value));
  return m;
}

function shown(m) {
  const fields = {};
  for (const [name, value] of Object.entries(m.getMap())) fields[name] = Buffer.isBuffer(value) ? value.toString('hex') : value;
  return fields;
}

// What came of a call: its status, the metadata before and behind, and each message.
function outcome(call) {
  return new Promise(done => {
    let head = {};
    call.on('metadata', m => (head = shown(m)));
    call.on('error', () => {}); // the status says it
    call.on('status', s => setImmediate(() => done({ code: s.code, details: s.details, head, trailers: shown(s.metadata) })));
  });
}

const digest = bytes => crypto.createHash('sha1').update(bytes).digest('hex');

// Each kind of call with messages of these sizes: do what went and what came agree?
const kinds = {
  async Unary(m, options, [size]) {
    const sent = crypto.randomBytes(size);
    let got = Buffer.alloc(0);
    const call = client.Unary(sent, m, options, (_, reply) => (got = reply || got));
    return { call, result: () => ({ same: got.equals(sent) }) };
  },
  async Collect(m, options, sizes) {
    let got = Buffer.alloc(0);
    const call = client.Collect(m, options, (_, reply) => (got = reply || got));
    const sent = sizes.map(n => crypto.randomBytes(n));
    sent.forEach(s => call.write(s));
    call.end();
    return { call, result: () => ({ same: got.equals(Buffer.concat(sent)) }) };
  },
  async Scatter(m, options, sizes) {
    m.set('size', String(sizes[0]));
    const got = [];
    const call = client.Scatter(Buffer.from(sizes.map((_, i) => i)), m, options);
    call.on('data', d => got.push(digest(d)));
    const expected = sizes.map((_, i) => digest(Buffer.alloc(sizes[0], i)));
    return { call, result: () => ({ same: got.join() === expected.join(), messages: got.length }) };
  },
  // Each message is sent when the one before it has come back.
  async Chat(m, options, sizes) {
    const call = client.Chat(m, options);
    const left = sizes.map(n => crypto.randomBytes(n));
    let same = 0;
    const next = () => (left.length ? call.write(left[0]) : call.end());
    call.on('data', d => {
      same += d.equals(left.shift());
      next();
    });
    next();
    return { call, result: () => ({ same: same === sizes.length, messages: same }) };
  },
};

async function run({ kind, sizes = [10], fields = {}, timeout, name }) {
  const options = timeout ? { deadline: Date.now() + timeout } : {};
  const { call, result } = await kinds[kind](metadata(fields), options, sizes);
  if (name) running.set(name, call);
  return { ...(await outcome(call)), ...result() };
}

serve({
  run,
  run_many: ({ count, ...given }) => Promise.all(Array.from({ length: count }, () => run(given))),
  cancel: ({ name }) => running.get(name).cancel(),
  // Calls one behind the other, `lanes` of them at once, until `enough` is told.
  async run_on({ lanes, ...given }) {
    const codes = {};
    more = true;
    const lane = async () => {
      while (more) {
        const { code, details, same } = await run(given);
        const key = code === 0 && same ? 'good' : code + ' ' + details;
        codes[key] = (codes[key] || 0) + 1;
        if (Object.values(codes).reduce((a, b) => a + b) % 50 === 0) tell('calls', { codes });
      }
    };
    await Promise.all(Array.from({ length: lanes }, lane));
    return codes;
  },
  enough: () => void (more = false),
});
