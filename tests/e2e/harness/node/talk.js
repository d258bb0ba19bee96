// What a program here and the test that started it say to each other: a line of JSON each way. The test calls commands by
// name and is answered; what happens meanwhile the program tells by itself. It ends with its standard input.
'use strict';
const readline = require('readline');

const say = message => process.stdout.write(JSON.stringify(message) + '\n');

exports.tell = (event, more = {}) => say({ event, ...more });

exports.serve = commands => {
  const lines = readline.createInterface({ input: process.stdin });
  lines.on('line', async line => {
    const { id, name, given } = JSON.parse(line);
    try {
      say({ id, result: await commands[name](given) });
    } catch (e) {
      say({ id, error: e.stack || String(e) });
    }
  });
  lines.on('close', () => process.exit(0));
};

// Who waits is let go by name: the test holds a request at an origin, say, for as long as it needs.
exports.gate = () => {
  const waiting = [];
  return {
    wait: () => new Promise(go => waiting.push(go)),
    open: () => waiting.splice(0).forEach(go => go()),
  };
};
