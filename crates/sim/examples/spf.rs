//! Evaluates SPF for cases that come as JSON lines, for other programs' test suites: an object with
//! `zone` (names with their `A`, `AAAA`, `MX`, `TXT`, `PTR`, or `"TIMEOUT"`) makes a new DNS; one with
//! `helo`, `host` and `mailfrom` is a question, answered by `result` and `explanation`.

use policy::spf::{Request, check_host};
use serde_json::{Value, json};
use sim::dns::SimDns;
use std::io::BufRead;
use std::net::IpAddr;

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn zone(records: &Value) -> SimDns {
    let dns = SimDns::default();
    for (name, all) in records.as_object().into_iter().flatten() {
        for record in all.as_array().into_iter().flatten() {
            let (kind, value) = (text(&record[0]), &record[1]);
            match kind {
                "A" | "AAAA" => {
                    if let Ok(ip) = text(value).parse() {
                        dns.add_address(name, ip);
                    }
                }
                "MX" => {
                    let preference = value[0].as_u64().unwrap_or(0) as u16;
                    dns.add_mx(name, preference, text(&value[1]).trim_end_matches('.'));
                }
                "TXT" => {
                    let octets: Vec<u8> = text(value).chars().map(|c| c as u8).collect();
                    dns.add_text(name, &octets);
                }
                "PTR" => dns.add_text_name(name, text(value)),
                "TIMEOUT" => dns.fail(name),
                "TXT TIMEOUT" => dns.fail_texts(name, true),
                _ => {}
            }
        }
    }
    dns
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut dns = SimDns::default();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let Ok(line) = serde_json::from_str::<Value>(&line) else { continue };
        if let Some(records) = line.get("zone") {
            dns = zone(records);
            continue;
        }
        let (helo, sender) = (text(&line["helo"]), text(&line["mailfrom"]));
        let ip: IpAddr = text(&line["host"]).parse().unwrap_or(IpAddr::from([0, 0, 0, 0]));
        let sender = if sender.is_empty() { helo } else { sender };
        let domain = sender.rsplit_once('@').map_or(sender, |(_, domain)| domain);
        let receiver = "receiver.example";
        let request = Request { ip, domain, sender, helo, receiver, now: 0 };
        let outcome = check_host(&dns, request).await;
        let answer = json!({"result": outcome.result.as_str(), "explanation": outcome.explanation, "why": outcome.why});
        println!("{answer}");
    }
}
