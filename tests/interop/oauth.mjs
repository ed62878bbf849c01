// An OpenID Connect issuer (oauth2-mock-server). Usage: oauth.mjs PORT FOLDER; writes tokens into the
// folder and serves its keys until it is killed.
import { createRequire } from 'node:module';
import { writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const require = createRequire(process.env.NODE_MODULES_AT);
const { OAuth2Server } = await import(pathToFileURL(require.resolve('oauth2-mock-server')));
const [port, folder] = process.argv.slice(2);
const server = new OAuth2Server();
await server.issuer.keys.generate('RS256');
await server.issuer.keys.generate('ES256');
await server.start(Number(port), 'localhost');
const now = Math.floor(Date.now() / 1000);
async function write(name, claims) {
  const token = await server.issuer.buildToken({
    scopesOrTransform: (_, payload) => Object.assign(payload, { aud: 'postrider', ...claims }),
  });
  writeFileSync(`${folder}/${name}`, token);
}
await write('good', { email: 'alice@here.test', email_verified: true, exp: now + 3600 });
await write('expired', { email: 'alice@here.test', exp: now - 3600 });
await write('stranger', { email: 'nobody@here.test', exp: now + 3600 });
writeFileSync(`${folder}/ready`, '');
