//! tidy: table
//! The comments in a configuration file that `setup` writes: one before each line that begins so.

/// Starts of lines, and what is said of them.
pub const COMMENTS: &[(&str, &str)] = &[
    ("hostname =", "Our name, as the MX record and the certificate have it."),
    ("domain =", "The domain of user names without one."),
    ("user =", "Whom the server becomes when started as root; empty: postrider, if it exists."),
    ("addresses =", "Each service listens here, at port_base + its standard port."),
    ("certificate =", "Read again when they change."),
    (
        "second_certificate =",
        "Another kind of key, as RSA beside ECDSA, for old senders; or empty.",
    ),
    ("message_octets =", "The largest message."),
    ("exclusive =", "One POP3 session of an account at a time; otherwise each has its own view."),
    ("login_delay_seconds =", "Between two POP3 logins of an account; 0 is none."),
    ("learn =", "Learn for each account from what it moves into Junk and out of it; docs/spam.md."),
    ("file =", "Put what is judged to be spam into Junk; otherwise only a header line tells."),
    ("address = \"dmarc-reports", "DMARC and TLS reports come in here: postrider reports list."),
    ("deliver =", "They are delivered there as well; otherwise only what they say is kept."),
    ("smarthost =", "host:port that takes all mail for others; empty: the MX of each domain."),
    ("servers =", "Name servers as address:port; empty: those of the system."),
    ("plaintext =", "Passwords without TLS: for tests on loopback only."),
    (
        "channel_binding =",
        "Announce SCRAM-...-PLUS. Some programs, as mutt 2.2, fail if it is there.",
    ),
    ("client_authorities =", "PEM file of those who sign certificates of clients, for EXTERNAL."),
    ("client_certificates =", "Or single certificates: [\"SHA256-FINGERPRINT ADDRESS\"]."),
    ("issuer =", "An OpenID Connect issuer, for OAUTHBEARER and XOAUTH2; docs/logins.md."),
    ("min_free_octets =", "With less room on the disk new mail is refused; deleting works."),
    ("memory_limit =", "Octets of all caches together."),
    ("lmtp =", "LMTP comes in here: addresses with a port, or paths of UNIX sockets."),
    ("networks =", "Who is not judged on port 25."),
    (
        "forwarders =",
        "Networks, or domains that SPF or DKIM proves, whose mail is taken whatever DMARC says.",
    ),
    ("dmarc =", "enforce, observe or off; docs/authentication.md."),
    (
        "block_lists =",
        "Lists in DNS: \"zone\" refuses who is on it, \"zone junk\" files into Junk.",
    ),
    ("proxies =", "Networks of proxies whose connections begin with a PROXY header."),
    ("xclients =", "Networks whose XCLIENT is believed."),
    ("connections_per_account =", "IMAP sessions of one account at a time."),
    (
        "recipients_per_hour =",
        "What one account may send; 0 is no limit. postrider account release lifts it once.",
    ),
    (
        "strangers_per_day =",
        "Those a day whom the account never wrote to before, elsewhere; 0 is no limit.",
    ),
    ("hold_seconds =", "How long FUTURERELEASE may hold a message, and how many of an account."),
    ("failed_logins =", "So many ban an address for a while, never on port 25; 0 bans nobody."),
    ("uid_only =", "Microsoft's cloud sync misuses UIDONLY; nothing else misses it."),
    (
        "message_limit =",
        "Messages of one command (MESSAGELIMIT), and of one that stores (SAVELIMIT); 0: any.",
    ),
    ("expire_seconds =", "When a message is given up, and when its sender hears of a delay."),
    ("scram_with_directory =", "Only accounts with a password here can use it: docs/logins.md."),
    ("directory_seconds =", "How long a login that LDAP or SQL proved is remembered."),
    ("urls =", "ldap://host or ldaps://host, the first that answers; docs/logins.md."),
    ("url =", "postgres://user@host/database or sqlite:FILE; docs/logins.md."),
    (
        "two_sync =",
        "Sync rows as well as messages at each delivery; nothing is ever repeated then.",
    ),
    ("retry_seconds =", "Waits between attempts; the last one repeats."),
];
