//! Started as root: the process belongs to the user that the configuration names, and may bind ports and nothing else.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use nix::unistd::{User, chown};

use super::server::{Place, Pools, Server, configuration, names};

/// A place for a server of another user.
fn place(user: &str) -> Place {
    let text = configuration(&Pools::new(), &names(1), 30);
    let place =
        Place::new(&text.replacen("[server]\n", &format!("[server]\nuser = \"{user}\"\n"), 1));
    let everyone = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(place.dir.path(), everyone).unwrap();
    place
}

/// A field of the process's status.
fn status(server: &Server, field: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let words: Vec<&str> = line.unwrap().split_whitespace().collect();
    words.join(" ")
}

#[test]
fn a_server_started_as_root_becomes_its_user_and_may_only_bind_ports() {
    let nobody = User::from_name("nobody").unwrap().unwrap();
    let place = place("nobody");
    chown(place.dir.path(), Some(nobody.uid), None).unwrap();
    let mut server = place.start();
    assert!(server.log().contains("running as the user nobody"));
    let id = nobody.uid.to_string();
    assert_eq!(status(&server, "Uid:"), [id.as_str(); 4].join(" "));
    assert_eq!(status(&server, "NoNewPrivs:"), "1");
    // CAP_NET_BIND_SERVICE is bit 10.
    for set in ["CapEff:", "CapPrm:"] {
        assert_eq!(status(&server, set), "0000000000000400", "{set}");
    }
    assert_eq!(status(&server, "CapInh:"), "0000000000000000");
    let state = std::fs::metadata(place.file("state")).unwrap();
    assert_eq!(
        (state.uid(), state.mode() & 0o777),
        (nobody.uid.as_raw(), 0o700)
    );
    assert_eq!(
        server.pin("route1", "pool2", "").0,
        200,
        "it can write there"
    );
    // A file that is not TOML any more does not make it root again.
    server.kill_9();
    let broken = std::fs::read_to_string(place.file("repoint.toml")).unwrap() + "[[pool\n";
    place.configure(&broken);
    let mut server = place.start();
    assert_eq!(status(&server, "Uid:"), [id.as_str(); 4].join(" "));
    // Nor one that is empty, missing or without the line: the accepted configuration is served as its user.
    let file = place.file("repoint.toml");
    let no_line = broken.replace("user = \"nobody\"\n", "");
    for text in [Some(""), None, Some(&no_line)] {
        server.kill_9();
        match text {
            Some(text) => place.configure(text),
            None => std::fs::remove_file(&file).unwrap(),
        }
        server = start_in_state(&place);
        assert_eq!(status(&server, "Uid:"), [id.as_str(); 4].join(" "));
    }
}

#[test]
fn a_file_that_is_refused_at_the_start_does_not_make_the_server_roots() {
    let nobody = User::from_name("nobody").unwrap().unwrap();
    let pools = Pools::new();
    let many = configuration(&pools, &names(30), 30);
    let place = Place::new(&many.replacen("[server]\n", "[server]\nuser = \"nobody\"\n", 1));
    let everyone = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(place.dir.path(), everyone).unwrap();
    chown(place.dir.path(), Some(nobody.uid), None).unwrap();
    let mut server = place.start();
    server.kill_9();
    // A good file, without the line that names the user and without most of the domains.
    place.configure(&configuration(&pools, &names(2), 30));
    let mut server = place.start();
    assert!(
        server
            .alarms()
            .iter()
            .any(|alarm| alarm.contains("config-rejected"))
    );
    let id = nobody.uid.to_string();
    assert_eq!(status(&server, "Uid:"), [id.as_str(); 4].join(" "));
    // One that is used is whose it says.
    server.kill_9();
    place.configure(&many);
    let server = place.start();
    assert_eq!(status(&server, "Uid:"), ["0"; 4].join(" "));
}

/// Starts a server whose file does not say where the state is.
fn start_in_state(place: &Place) -> Server {
    let mut command = place.command();
    command.args(["--state", "state"]);
    let server = place.begin(command);
    server.logged("taking commands on");
    server
}

#[test]
fn a_server_that_nobody_names_a_user_for_becomes_the_owner_of_its_state() {
    let nobody = User::from_name("nobody").unwrap().unwrap();
    let place = Place::new(&configuration(&Pools::new(), &names(1), 30));
    let mut server = place.start();
    server.kill_9();
    let everyone = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(place.dir.path(), everyone).unwrap();
    let state = place.file("state");
    let within = std::fs::read_dir(&state)
        .unwrap()
        .map(|e| e.unwrap().path());
    for path in within.chain([place.dir.path().to_owned(), state.clone()]) {
        chown(&path, Some(nobody.uid), Some(nobody.gid)).unwrap();
    }
    let _ = std::fs::remove_file(place.file("control.sock"));
    place.configure("");
    let server = start_in_state(&place);
    let id = nobody.uid.to_string();
    assert_eq!(status(&server, "Uid:"), [id.as_str(); 4].join(" "));
}

#[test]
fn a_user_that_is_not_there_is_no_reason_to_stay_root() {
    let place = place("no-such-user");
    let mut server = place.begin(place.command());
    assert_eq!(server.ended().code(), Some(2));
    server.logged("there is no user no-such-user on this machine");
    assert!(!place.file("state").exists());
}

#[test]
fn a_server_of_roots_says_so() {
    let place = Place::new(&configuration(&Pools::new(), &names(1), 30));
    let server = place.start();
    assert!(server.log().contains("running as root"), "{}", server.log());
}
