// imapflow against a running server: IMAPS-PORT. It uses ENABLE CONDSTORE, IDLE, COMPRESS, MOVE.
import { createRequire } from 'node:module';
import assert from 'node:assert';
const require = createRequire(process.env.NODE_MODULES_AT || import.meta.url);
const { ImapFlow } = require('imapflow');
const client = new ImapFlow({
  host: 'localhost', port: Number(process.argv[2]), secure: true, logger: false,
  tls: { rejectUnauthorized: false }, auth: { user: 'bob@here.test', pass: 'secret' }, qresync: true,
});
await client.connect();
await client.mailboxCreate(['Flow', 'Inner']);
assert((await client.list({ statusQuery: { messages: true } })).some((b) => b.path === 'Flow/Inner'));
for (let n = 0; n < 3; n++) {
  const made = await client.append('Flow/Inner', `Subject: flow ${n}\r\n\r\nbody ${n}\r\n`, ['\\Seen'], new Date());
  assert.equal(made.uid, n + 1);
}
const lock = await client.getMailboxLock('Flow/Inner');
try {
  assert.equal(client.mailbox.exists, 3);
  const seen = [];
  for await (const m of client.fetch('1:*', { envelope: true, bodyStructure: true, flags: true, source: true, emailId: true })) {
    seen.push(m.envelope.subject);
    assert(m.source.toString().includes('body'));
  }
  assert.deepEqual(seen, ['flow 0', 'flow 1', 'flow 2']);
  assert.deepEqual(await client.search({ subject: 'flow 1' }, { uid: true }), [2]);
  await client.messageFlagsAdd('2', ['\\Flagged', '$Phishing'], { uid: true });
  assert.deepEqual(await client.search({ flagged: true }, { uid: true }), [2]);
  const { content } = await client.download('2', undefined, { uid: true });
  let text = '';
  for await (const piece of content) text += piece;
  assert(text.includes('body 1'));
  const moved = await client.messageMove('3', 'Trash', { uid: true });
  assert.equal(moved.uidMap.size, 1);
  await client.messageDelete('1', { uid: true });
  assert.equal(client.mailbox.exists, 1);
} finally {
  lock.release();
}
assert.equal((await client.status('Flow/Inner', { messages: true, highestModseq: true })).messages, 1);
await client.mailboxDelete('Flow/Inner');
await client.logout();
