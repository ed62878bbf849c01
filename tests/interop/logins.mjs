// imapflow with a token: as OAUTHBEARER or XOAUTH2, what it chooses. Usage: logins.mjs PORT TOKEN-FILE
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const require = createRequire(process.env.NODE_MODULES_AT);
const { ImapFlow } = require('imapflow');
const [port, file] = process.argv.slice(2);
async function login(accessToken) {
  const client = new ImapFlow({
    host: 'localhost', port: Number(port), secure: true, logger: false,
    tls: { rejectUnauthorized: false }, auth: { user: 'alice@here.test', accessToken },
  });
  await client.connect();
  const box = await client.mailboxOpen('INBOX');
  await client.logout();
  return box.exists;
}
if (await login(readFileSync(file, 'utf8')) < 1) throw new Error('the INBOX is empty');
try {
  await login('nonsense');
} catch (error) {
  if (!error.authenticationFailed) throw error;
  console.log('refused as it should be:', error.responseText);
  process.exit(0);
}
throw new Error('a wrong token logs in');
