//! SMTP TLS reports. RFC 8460 §4.

use super::{Head, NoReport, TlsFailure, TlsPolicy, TlsReport, shown, time};
use serde::Deserialize;

/// Octets of a report, unpacked: in memory each may become fifty.
const OCTETS_MAX: usize = 1 << 20;
/// Policies that are kept.
const POLICIES_MAX: usize = 50;
/// Kinds of failure that are kept of each.
const DETAILS_MAX: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Json {
    #[serde(default)]
    organization_name: Option<String>,
    date_range: Range,
    #[serde(default)]
    report_id: Option<String>,
    policies: Vec<OnePolicy>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Range {
    start_datetime: String,
    end_datetime: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct OnePolicy {
    #[serde(default)]
    policy: Policy,
    #[serde(default)]
    summary: Summary,
    #[serde(default)]
    failure_details: Option<Vec<Failure>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Policy {
    policy_type: String,
    policy_domain: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Summary {
    total_successful_session_count: u64,
    total_failure_session_count: u64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Failure {
    result_type: String,
    sending_mta_ip: Option<String>,
    receiving_mx_hostname: Option<String>,
    receiving_ip: Option<String>,
    failed_session_count: u64,
}

/// Reads a report.
pub fn read(octets: &[u8]) -> Result<TlsReport, NoReport> {
    if octets.len() > OCTETS_MAX {
        return Err(NoReport::TooLarge);
    }
    let json: Json = serde_json::from_slice(octets)
        .map_err(|_| NoReport::Wrong("it is not the JSON of a TLS report"))?;
    let wrong = || NoReport::Wrong("the dates of the TLS report cannot be read");
    let text = |text: Option<String>| shown(&text.unwrap_or_default());
    let head = Head {
        organization: text(json.organization_name),
        id: text(json.report_id),
        begin: time(&json.date_range.start_datetime).ok_or_else(wrong)?,
        end: time(&json.date_range.end_datetime).ok_or_else(wrong)?,
    };
    let detail = |failure: Failure| TlsFailure {
        result: shown(&failure.result_type),
        mx: text(failure.receiving_mx_hostname.or(failure.receiving_ip)),
        source: text(failure.sending_mta_ip),
        count: failure.failed_session_count,
    };
    let policy = |one: OnePolicy| TlsPolicy {
        policy: shown(&one.policy.policy_type),
        domain: shown(&one.policy.policy_domain).to_ascii_lowercase(),
        successes: one.summary.total_successful_session_count,
        failures: one.summary.total_failure_session_count,
        details: one
            .failure_details
            .unwrap_or_default()
            .into_iter()
            .take(DETAILS_MAX)
            .map(detail)
            .collect(),
    };
    let policies = json.policies.into_iter().take(POLICIES_MAX).map(policy).collect();
    Ok(TlsReport { head, policies })
}
