// One visit by Node's https client: URL, file of authorities, version.
const [url, authorities, version] = process.argv.slice(2);
const options = {
  ca: require('fs').readFileSync(authorities),
  minVersion: 'TLSv' + version,
  maxVersion: 'TLSv' + version,
  family: 4,
  agent: false,
};
require('https').get(url, options, answer => {
  let body = '';
  answer.on('data', d => body += d);
  answer.on('end', () => console.log(body));
}).on('error', e => { console.error(e.code || e.message); process.exit(1); });
