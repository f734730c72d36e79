//! Configurations of one federation in each arrangement.

/// Two pools and a route; `owners`, `zones` and `dns` are put in.
fn federation(dns: &str, route: &str, rest: &str) -> String {
    format!(
        r#"version = 1
[dns]
{dns}
[health]
canaries = ["203.0.113.53:53"]
[[pool]]
name = "edgepool1"
[[pool.target]]
name = "edge1.contoso.com"
publish = ["192.0.2.10"]
[[pool]]
name = "edgepool2"
[[pool.target]]
name = "edge2.contoso.com"
publish = ["198.51.100.20", "2001:db8::20"]
[[route]]
name = "contoso"
pools = ["edgepool1", "edgepool2"]
{route}
{rest}
"#
    )
}

const OUTSIDE: &str =
    r#"nameservers = [{ name = "ns1.example.net" }, { name = "ns2.example.net" }]"#;

/// Option A: each steered name is a zone.
pub(crate) fn owners() -> String {
    let route = r#"domains = ["contoso.com"]
zones = "owners"
[route.address]
name = "xmpp.{domain}"
[[route.service]]
kind = "xmpp-server"
[[route.service]]
kind = "sipfederationtls""#;
    federation(OUTSIDE, route, "")
}

/// Option A for many domains.
pub(crate) fn many(count: usize) -> String {
    let domains: Vec<String> = (0..count).map(|n| format!("\"d{n}.example\"")).collect();
    let route = format!(
        r#"domains = [{}]
zones = "owners"
[route.address]
name = "xmpp.{{domain}}"
[[route.service]]
kind = "xmpp-server""#,
        domains.join(", ")
    );
    federation(OUTSIDE, &route, "")
}

/// Option B: `_tcp` is a zone.
pub(crate) fn service_tree() -> String {
    let route = r#"domains = ["contoso.com"]
[route.address]
name = "xmpp.{domain}"
[[route.service]]
kind = "xmpp-server""#;
    let zones = "[[zone]]\napex = \"_tcp.contoso.com\"\n[[zone]]\napex = \"xmpp.contoso.com\"";
    federation(OUTSIDE, route, zones)
}

/// Option C: a child zone with a nameserver inside.
pub(crate) fn child() -> String {
    let dns = r#"nameservers = [{ name = "ns1.fed.contoso.com", addresses = ["203.0.113.1", "2001:db8::1"] }, { name = "ns2.example.net" }]"#;
    let route = r#"domains = ["contoso.com"]
[route.address]
name = "xmpp.fed.{domain}"
[[route.service]]
kind = "xmpp-server"
owner = "_xmpp-server._tcp.fed.{domain}"
[[route.service]]
kind = "xmpps-server"
owner = "_xmpps-server._tcp.fed.{domain}""#;
    federation(dns, route, "[[zone]]\napex = \"fed.contoso.com\"")
}

/// The whole domain.
pub(crate) fn whole() -> String {
    let route = r#"domains = ["contoso.com"]
[route.address]
name = "xmpp.{domain}"
[[route.service]]
kind = "xmpp-server""#;
    federation(OUTSIDE, route, "[[zone]]\napex = \"contoso.com\"")
}
