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

// For those who wait until the test has it opened, once and for all.
exports.gate = () => {
  const gate = {};
  gate.opened = new Promise(go => (gate.open = go));
  return gate;
};
