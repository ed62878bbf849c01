// emailjs-imap-client against a running server: IMAPS-PORT. Its COMPRESS wraps the stream in zlib's format,
// against RFC 4978 §3, so that is left alone.
import { createRequire } from 'node:module';
import assert from 'node:assert';
const require = createRequire(process.env.NODE_MODULES_AT || import.meta.url);
const ImapClient = require('emailjs-imap-client').default;
const client = new ImapClient('localhost', Number(process.argv[2]), {
  useSecureTransport: true,
  id: { name: 'test', version: '1' }, auth: { user: 'bob@here.test', pass: 'secret' },
});
client.logLevel = client.LOG_LEVEL_NONE;
const heard = [];
client.onupdate = (path, type, value) => heard.push(`${path} ${type}`);
await client.connect();
assert(client.hasCapability('CONDSTORE'));
const names = await client.listMailboxes();
assert(names.children.some((box) => box.specialUse === '\\Trash'), 'special uses');
assert((await client.listNamespaces()).personal[0].delimiter === '/');
await client.createMailbox('Emailjs');
const text = (n) => `From: Ann <a@x.test>\r\nSubject: js ${n}\r\nDate: Thu, 1 Jan 2026 10:00:00 +0000\r\n\r\n${'line\r\n'.repeat(3000)}`;
for (let n = 0; n < 3; n++) await client.upload('Emailjs', text(n), { flags: ['\\Seen'] });
const box = await client.selectMailbox('Emailjs', { condstore: true });
assert(box.exists === 3 && box.highestModseq, JSON.stringify(box));
const found = await client.listMessages('Emailjs', '1:*', ['uid', 'flags', 'envelope', 'bodystructure', 'body.peek[]', 'modseq']);
assert.deepEqual(found.map((m) => m.envelope.subject), ['js 0', 'js 1', 'js 2']);
assert(found.every((m, n) => m['body[]'] === text(n)), 'octets');
assert.deepEqual(await client.search('Emailjs', { header: ['subject', 'js 1'] }, { byUid: true }), [2]);
await client.setFlags('Emailjs', '2', { add: ['\\Flagged', '$Label'] }, { byUid: true });
const changed = await client.listMessages('Emailjs', '1:*', ['uid', 'flags'], { changedSince: box.highestModseq });
assert(changed.length === 1 && changed[0].flags.includes('\\Flagged'), JSON.stringify(changed));
await client.copyMessages('Emailjs', '1', 'Archive', { byUid: true });
await client.moveMessages('Emailjs', '3', 'Trash', { byUid: true });
await client.deleteMessages('Emailjs', '1', { byUid: true });
assert.deepEqual(await client.search('Emailjs', { all: true }, { byUid: true }), [2]);
assert(heard.includes('Emailjs expunge'), heard.join());
await client.selectMailbox('INBOX');
await client.deleteMailbox('Emailjs');
await client.close();
process.exit(0);
