"""The openspf suite for RFC 7208, as the source of pyspf ships it, against ours.

Usage: openspf.py SUITE.yml PROGRAM: PROGRAM takes zones and cases as JSON lines (crates/sim/examples/spf.rs).
"""

import json
import subprocess
import sys
import warnings

import yaml

warnings.simplefilter("ignore")


def records(zone):
    """The suite's zone, with what it says of SPF records also being true of TXT records."""
    out = {}
    for name, entries in zone.items():
        kinds = {kind for entry in entries if isinstance(entry, dict) for kind in entry}
        found = []
        for entry in entries:
            if entry == "TIMEOUT":
                # Questions of other types are not answered.
                if not any(isinstance(e, dict) and e.get("TXT", "NONE") != "NONE" for e in entries):
                    found.append(["TXT TIMEOUT" if kinds else "TIMEOUT", None])
                continue
            for kind, value in entry.items():
                if kind == "SPF" and "TXT" in kinds:
                    continue
                kind = "TXT" if kind == "SPF" else kind
                if value == "TIMEOUT":
                    found.append([kind + " TIMEOUT", None])
                elif value != "NONE":
                    found.append([kind, "".join(value) if kind == "TXT" and isinstance(value, list) else value])
        out[name.lower().rstrip(".")] = found
    # Resolvers follow aliases.
    for name, found in out.items():
        for kind, value in found:
            if kind == "CNAME":
                out[name] = out.get(value.lower().rstrip("."), [])
    return out


def main():
    suite, program = sys.argv[1:3]
    lines, expected = [], []
    with open(suite, "rb") as file:
        for part in yaml.safe_load_all(file):
            lines.append({"zone": records(part["zonedata"])})
            for name, case in part["tests"].items():
                lines.append({key: str(case[key]) for key in ("helo", "host", "mailfrom")})
                results = case["result"]
                results = [results] if isinstance(results, str) else results
                explanation = case.get("explanation")
                expected.append((part["description"], name, results, explanation))
    sent = "\n".join(json.dumps(line) for line in lines) + "\n"
    run = subprocess.run([program], input=sent, capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(answers) == len(expected), (len(answers), len(expected))
    failed = 0
    for (part, name, results, explanation), got in zip(expected, answers):
        wanted = None if explanation == "DEFAULT" else explanation
        # The suite writes the hexadecimal digits of %{i} in capitals, RFC 7208 §7.4 in small letters.
        same = (got["explanation"] or "").lower() == (wanted or "").lower()
        fine = got["result"] in results and (explanation is None or same)
        if not fine:
            failed += 1
            print(f"{part}: {name}: {results} {explanation!r}, but got {got}")
    print(f"{len(answers) - failed} of {len(answers)} cases")
    sys.exit(failed != 0)


main()
