#!/usr/bin/env bash
# Installs the programs that tests/interop/run.sh drives. Debian; as root or with sudo.
set -euo pipefail
needed=(curl openssl swaks isync mutt fetchmail postfix python3 libio-socket-ssl-perl libnet-ssleay-perl strace
  getmail6 msmtp mpop neomutt python3-venv offlineimap3 libmail-imapclient-perl slapd)
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
if command -v npm >/dev/null && [ ! -d "$libraries/node_modules/oauth2-mock-server" ]; then
  npm install --silent --no-save --prefix "$libraries" imapflow@2.10.2 oauth2-mock-server@8.1.0 >/dev/null
fi
