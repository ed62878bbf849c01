// nodemailer submits with STARTTLS and implicit TLS; smtp-server receives what we relay to it.
// Its own certificate, of X.509 version 1 and expired, must do for TLS that nobody vouches for.
// SUBMISSION SUBMISSIONS PORT-OF-SMTP-SERVER
import { createRequire } from 'node:module';
import { once } from 'node:events';
const require = createRequire(process.env.NODE_MODULES_AT);
const nodemailer = require('nodemailer');
const { SMTPServer } = require('smtp-server');
const [submission, submissions, port] = process.argv.slice(2, 5).map(Number);

const received = [];
let came;
const server = new SMTPServer({
  authOptional: true,
  disabledCommands: ['AUTH'],
  onData(stream, session, done) {
    const pieces = [];
    stream.on('data', (piece) => pieces.push(piece));
    stream.on('end', () => {
      received.push({ text: Buffer.concat(pieces).toString(), to: session.envelope.rcptTo, secure: session.secure });
      done();
      came?.();
    });
  },
});
server.on('error', (error) => console.error(error));
server.listen(port, '127.0.0.1');
await once(server.server, 'listening');

const auth = { user: 'alice@here.test', pass: 'secret' };
const tls = { rejectUnauthorized: false };
for (const [name, options] of [
  ['STARTTLS', { port: submission, requireTLS: true }],
  ['TLS', { port: submissions, secure: true }],
  ['a pool', { port: submissions, secure: true, pool: true, maxConnections: 2 }],
]) {
  const transport = nodemailer.createTransport({ host: '127.0.0.1', auth, tls, ...options });
  await transport.verify();
  const subjects = name === 'a pool' ? [1, 2, 3, 4, 5].map((n) => `pool ${n}`) : [name];
  const sent = subjects.map((subject) => transport.sendMail({
    from: 'Alice <alice@here.test>', to: ['one@node.test', 'two@node.test'], bcc: 'three@node.test',
    subject: `${subject} grüßt 🚲`, text: '.dots\n..more\n' + 'long '.repeat(300),
    attachments: [{ filename: 'ä.bin', content: Buffer.alloc(100_000, 7) }],
    dsn: { id: 'an id', return: 'headers', notify: ['failure', 'delay'], recipient: 'alice@here.test' },
  }));
  for (const info of await Promise.all(sent)) {
    if (info.rejected.length || !/^250 2\.0\.0 Accepted, id /.test(info.response)) throw new Error(JSON.stringify(info));
  }
  await transport.close();
}
const wrong = nodemailer.createTransport({ host: '127.0.0.1', port: submissions, secure: true, tls, auth: { ...auth, pass: 'no' } });
const refused = await wrong.verify().then(() => null, (error) => error);
if (refused?.responseCode !== 535 || refused.code !== 'EAUTH') throw new Error(`a wrong password: ${refused}`);

const timer = setTimeout(() => { console.error(`received ${received.length}`); process.exit(1); }, 20_000);
while (received.length < 7) await new Promise((resolve) => { came = resolve; });
clearTimeout(timer);
for (const { text, to, secure } of received) {
  if (!secure) throw new Error('relayed without TLS');
  if (to.length !== 3) throw new Error(JSON.stringify(to));
  if (/^bcc:/im.test(text.split('\r\n\r\n')[0])) throw new Error('Bcc is still there');
  if (!text.includes('\r\n.dots\r\n..more\r\n')) throw new Error(text.slice(0, 2000));
}
if (received.length !== 7) throw new Error(`${received.length} messages`);
console.log('fine');
process.exit(0);
