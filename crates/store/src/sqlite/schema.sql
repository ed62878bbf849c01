-- Version 4. A page holds some messages of a mailbox (packed.rs); its key is mailbox << 32 | first
-- UID, so that a mailbox is one range of one table. A content row holds 64 contents.
CREATE TABLE domain(name TEXT PRIMARY KEY, catch_all TEXT) WITHOUT ROWID;
CREATE TABLE account(key TEXT PRIMARY KEY, id INTEGER NOT NULL, address TEXT NOT NULL,
  secret TEXT NOT NULL, disabled INTEGER NOT NULL, created INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE alias(key TEXT PRIMARY KEY, address TEXT NOT NULL, targets TEXT NOT NULL)
  WITHOUT ROWID;
CREATE TABLE route(domain TEXT PRIMARY KEY, target TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE counter(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE mailbox(id INTEGER PRIMARY KEY, account INTEGER NOT NULL, name TEXT NOT NULL,
  special TEXT, uidvalidity INTEGER NOT NULL, uidnext INTEGER NOT NULL, modseq INTEGER NOT NULL,
  messages INTEGER NOT NULL, unseen INTEGER NOT NULL, deleted INTEGER NOT NULL,
  octets INTEGER NOT NULL, recent_from INTEGER NOT NULL, keywords TEXT NOT NULL,
  UNIQUE(account, name));
CREATE TABLE subscription(account INTEGER NOT NULL, name TEXT NOT NULL,
  PRIMARY KEY(account, name)) WITHOUT ROWID;
CREATE TABLE page(id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE expunged(mailbox INTEGER NOT NULL, modseq INTEGER NOT NULL, uids BLOB NOT NULL,
  PRIMARY KEY(mailbox, modseq)) WITHOUT ROWID;
CREATE TABLE content(id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE summary(id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE dead(first INTEGER PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE segment(id INTEGER PRIMARY KEY, live INTEGER NOT NULL, total INTEGER NOT NULL);
CREATE TABLE queued(message INTEGER PRIMARY KEY, content INTEGER NOT NULL, size INTEGER NOT NULL,
  skip INTEGER NOT NULL, sender TEXT NOT NULL, ret TEXT, envid TEXT, body8 INTEGER NOT NULL,
  smtputf8 INTEGER NOT NULL, arrived INTEGER NOT NULL, expires INTEGER NOT NULL,
  submitted_by INTEGER);
CREATE TABLE recipient(message INTEGER NOT NULL, n INTEGER NOT NULL, address TEXT NOT NULL,
  domain TEXT NOT NULL, held INTEGER NOT NULL, attempts INTEGER NOT NULL, due INTEGER NOT NULL,
  last_reply TEXT, last_host TEXT, delay_told INTEGER NOT NULL, notify INTEGER NOT NULL,
  orcpt TEXT, PRIMARY KEY(message, n)) WITHOUT ROWID;
CREATE INDEX recipient_due ON recipient(due) WHERE held = 0;
CREATE TABLE journey(message INTEGER NOT NULL, n INTEGER NOT NULL, data BLOB NOT NULL,
  PRIMARY KEY(message, n)) WITHOUT ROWID;
CREATE TABLE property(kind INTEGER NOT NULL, owner INTEGER NOT NULL, name TEXT NOT NULL,
  value BLOB NOT NULL, PRIMARY KEY(kind, owner, name)) WITHOUT ROWID;
CREATE INDEX property_name ON property(kind, name);
CREATE TABLE applied(k INTEGER PRIMARY KEY, segment INTEGER NOT NULL, off INTEGER NOT NULL);
PRAGMA user_version = 4;
