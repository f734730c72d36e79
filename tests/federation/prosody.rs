//! Debian's Prosody: as a pool of contoso.example that answers every message with its name, and as a partner.
//!
//! In: an address, a certificate, the authority to trust. Out: the running server.
//! Never here: the system's own Prosody, its configuration or its data.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use crate::authority::{Authority, Credentials};
use crate::daemon::Daemon;
use crate::world::tool::tool;
use crate::{BackOff, CLIENT, COMPONENT_PORT, DOMAIN, PARTNER, PARTNER_ADDRESS, SECRET};

/// Answers each message to the domain with its body and the pool that answered, so that the client sees where its
/// message went.
const ECHO: &str = r#"
local st = require "util.stanza";
local pool = module:get_option_string("echo_as");
module:hook("message/host", function (event)
	local body = event.stanza:get_child_text("body");
	if body and event.stanza.attr.type ~= "error" then
		module:send(st.message({ from = module.host, to = event.stanza.attr.from, type = "chat" }, body .. " " .. pool));
	end
	return true;
end, 10);
"#;

/// One pool: Prosody as stock as it can be beside another on one machine, hosting contoso.example.
pub(crate) fn pool(
    name: &str,
    address: Ipv4Addr,
    credentials: &Credentials,
    authority: &Authority,
    dir: &Path,
) -> Daemon {
    let modules = dir.join("modules");
    fs::create_dir_all(&modules).expect("the scratch directory is writable");
    fs::write(modules.join("mod_answer.lua"), ECHO).expect("the scratch directory is writable");
    let host = format!(
        "plugin_paths = {{ {modules:?} }}\ncomponent_ports = {{}}\n\
         VirtualHost \"{DOMAIN}\"\nmodules_enabled = {{ \"answer\" }}\necho_as = \"{name}\"\n"
    );
    start(name, address, credentials, authority, dir, &host)
}

/// The partner, with the client as its component. `back_off` decides how patient it is with a dead peer.
pub(crate) fn partner(
    back_off: BackOff,
    credentials: &Credentials,
    authority: &Authority,
    dir: &Path,
) -> Daemon {
    let patience = match back_off {
        BackOff::Stock => "",
        // 90 s for a stream to be ready, 20 s for a connection.
        BackOff::Short => "s2s_timeout = 4\nnetwork_settings = { connect_timeout = 2 }\n",
    };
    let host = format!(
        "{patience}component_ports = {{ {COMPONENT_PORT} }}\n\
         VirtualHost \"{PARTNER}\"\nComponent \"{CLIENT}\"\ncomponent_secret = \"{SECRET}\"\n"
    );
    start(
        "partner",
        PARTNER_ADDRESS,
        credentials,
        authority,
        dir,
        &host,
    )
}

/// What pools and partners share, then `host`, the part that differs.
fn start(
    name: &str,
    address: Ipv4Addr,
    credentials: &Credentials,
    authority: &Authority,
    dir: &Path,
    host: &str,
) -> Daemon {
    let data = dir.join(format!("{name}-data"));
    fs::create_dir_all(&data).expect("the scratch directory is writable");
    let config = dir.join(format!("{name}.cfg.lua"));
    let text = format!(
        r#"run_as_root = true
pidfile = {pid:?}
data_path = {data:?}
log = {{ info = "*stdout" }}
interfaces = {{ "{address}" }}
local_interfaces = {{ "{address}" }}
s2s_ports = {{ 5269 }}
s2s_direct_tls_ports = {{}}
modules_enabled = {{ "s2s", "tls", "dialback", "saslauth", "s2s_auth_certs" }}
modules_disabled = {{ "c2s", "offline", "http" }}
s2s_require_encryption = true
s2s_secure_auth = true
ssl = {{ key = {key:?}; certificate = {certificate:?}; cafile = {root:?}; capath = false }}
{host}"#,
        pid = dir.join(format!("{name}.pid")),
        key = credentials.key,
        certificate = credentials.certificate,
        root = authority.root(),
    );
    fs::write(&config, text).expect("the scratch directory is writable");
    Daemon::start(
        name,
        dir,
        tool("prosody").arg("-F").arg("--config").arg(config),
    )
}
