#!/usr/bin/env bash
# Installs the programs that tests/interop/run.sh drives. Debian; as root or with sudo.
set -euo pipefail
needed=(curl openssl swaks isync mutt fetchmail postfix python3 libio-socket-ssl-perl libnet-ssleay-perl strace
  getmail6 msmtp mpop neomutt python3-venv offlineimap3 libmail-imapclient-perl slapd postgresql dovecot-imapd libmail-imaptalk-perl libmail-srs-perl thunderbird testssl.sh python3-pampy gsasl
  bind9 bind9-utils bind9-dnsutils iproute2)
missing=()
for package in "${needed[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  as_root=(); [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  export DEBIAN_FRONTEND=noninteractive
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null
fi

# Client libraries of other languages, beside the build, in fixed versions.
libraries=$(cd "$(dirname "$0")/../.." && pwd)/target/interop
if [ ! -x "$libraries/venv/bin/python" ]; then
  python3 -m venv "$libraries/venv"
  "$libraries/venv/bin/pip" install -q imapclient==4.1.0 imap-tools==1.16.0 aioimaplib==2.0.3
fi
# DKIM, DMARC and SPF by others; the source of pyspf has the openspf suite.
if [ ! -f "$libraries/pyspf/test/rfc7208-tests.yml" ]; then
  "$libraries/venv/bin/pip" install -q dkimpy==1.1.8 authheaders==0.16.3 pyyaml==6.0.4 pynacl dnslib==0.9.26 setuptools wheel
  "$libraries/venv/bin/pip" download -q --no-binary :all: --no-deps --no-build-isolation pyspf==2.0.14 -d "$libraries/sources"
  mkdir -p "$libraries/pyspf"
  tar xzf "$libraries"/sources/pyspf-2.0.14.tar.gz -C "$libraries/pyspf" --strip-components=1
fi
if command -v npm >/dev/null && [ ! -d "$libraries/node_modules/mailauth" ]; then
  npm install --silent --no-save --prefix "$libraries" emailjs-imap-client@3.1.0 imapflow@2.10.2 oauth2-mock-server@8.1.0 nodemailer@10.6.1 smtp-server@3.21.6 mailauth@7.1.0 >/dev/null
fi

# Servers whose packages exclude Postfix's are unpacked, not installed.
if [ ! -x "$libraries/peers/usr/sbin/smtpd" ]; then
  mkdir -p "$libraries/peers/deb"
  as_root=(); [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get install -y -qq --no-install-recommends libdb5.3 libevent-2.1-7 libgnutls-dane0 \
    libidn12 libnsl2 libpcre2-8-0 </dev/null >/dev/null || true
  (cd "$libraries/peers/deb" && apt-get download -qq exim4-daemon-light opensmtpd 2>/dev/null)
  for package in "$libraries"/peers/deb/*.deb; do dpkg -x "$package" "$libraries/peers"; done
  rm -r "$libraries/peers/deb"
fi

# Python's test data for e-mail: odd messages (mime.sh). Not installed, unpacked.
suite=$(apt-cache search --names-only '^libpython3[.][0-9]*-testsuite$' | cut -d' ' -f1 | head -1)
if [ -n "$suite" ] && [ ! -d "$libraries/python" ]; then
  mkdir -p "$libraries/python"
  (cd "$libraries/python" && apt-get download -qq "$suite" 2>/dev/null && dpkg -x "$suite"_*.deb . && rm "$suite"_*.deb) || true
fi
