//! The reference names every request the router takes, and no other.

use std::collections::BTreeSet;

/// `PUT /v1/freeze`, as the router's table has it.
fn routed() -> BTreeSet<String> {
    let source = include_str!("../router.rs");
    let table = source.split_once("Router::new()").unwrap().1;
    let table = table.split_once("Router::new()").unwrap().0;
    let mut requests = BTreeSet::new();
    for entry in table.split(".route(").skip(1) {
        let path = entry.split('"').nth(1).unwrap();
        for method in ["get", "put", "post", "delete"] {
            if entry.contains(&format!("{method}(")) {
                requests.insert(format!("{} /v1{path}", method.to_uppercase()));
            }
        }
    }
    requests
}

/// What stands in backticks: `PUT`, `DELETE /v1/freeze` are two requests; a path alone in a table is one to look.
fn documented() -> BTreeSet<String> {
    let reference = include_str!("../../../docs/api.md");
    let mut requests = BTreeSet::new();
    for line in reference.lines() {
        let mut methods = Vec::new();
        for quoted in line.split('`').skip(1).step_by(2) {
            let (method, path) = match quoted.split_once(' ') {
                Some((method, path)) => (method, path),
                None if quoted.starts_with('/') => ("", quoted),
                None => (quoted, ""),
            };
            if ["GET", "PUT", "POST", "DELETE"].contains(&method) {
                methods.push(method);
            }
            let path = path.split('?').next().unwrap();
            if !path.starts_with("/v1/") || (methods.is_empty() && !line.starts_with('|')) {
                continue;
            }
            if methods.is_empty() {
                methods.push("GET");
            }
            requests.extend(methods.drain(..).map(|method| format!("{method} {path}")));
        }
    }
    requests
}

#[test]
fn the_reference_names_every_request_and_no_other() {
    let (routed, documented) = (routed(), documented());
    let missing: Vec<_> = routed.difference(&documented).collect();
    let invented: Vec<_> = documented.difference(&routed).collect();
    assert!(routed.len() > 40, "{routed:?}");
    assert!(
        missing.is_empty() && invented.is_empty(),
        "not in docs/api.md: {missing:?}; not in the router: {invented:?}"
    );
}
