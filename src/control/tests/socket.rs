//! The socket: who may open it, what is in its place, and who cannot hold it up.

use super::*;

#[tokio::test]
async fn what_is_not_http_does_not_end_the_interface() {
    let site = Site::start(Fake::default());
    for bytes in [
        &b"\x16\x03\x01\x00"[..],
        b"GET",
        b"\r\n\r\n\r\n",
        b"GET / HTTP/9\r\n\r\n",
    ] {
        let mut stream = UnixStream::connect(&site.socket).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        drop(stream);
    }
    assert_eq!(site.get("/v1/health").await.status, 200);
}

#[tokio::test]
async fn whoever_says_nothing_is_sent_away() {
    let patience = Patience {
        header: Duration::from_millis(10),
        ..Patience::default()
    };
    let site = Site::start_with(Fake::default(), patience);
    let mut silent = UnixStream::connect(&site.socket).await.unwrap();
    silent
        .write_all(b"GET /v1/health HTTP/1.1\r\n")
        .await
        .unwrap();
    // This ends only if the server closes.
    let mut rest = Vec::new();
    let _ = silent.read_to_end(&mut rest).await;
    assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
}

#[tokio::test]
async fn a_node_that_is_stuck_is_answered_for() {
    let stuck = Fake {
        stuck: true,
        ..Fake::default()
    };
    let patience = Patience {
        answer: Duration::from_millis(10),
        ..Patience::default()
    };
    let site = Site::start_with(stuck, patience);
    let answer = site.get("/v1/status").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.code(), "too-slow");
}

#[tokio::test]
async fn the_socket_is_for_its_owner_and_group_only() {
    let site = Site::start(Fake::default());
    let mode = std::fs::metadata(&site.socket)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
}

#[tokio::test]
async fn a_socket_left_by_a_dead_process_is_replaced_and_a_live_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let dead = std::fs::metadata(&path).unwrap().ino();
    let listener = Listener::bind(&path, 0o660, None).unwrap();
    assert_ne!(std::fs::metadata(&path).unwrap().ino(), dead);
    assert!(matches!(
        Listener::bind(&path, 0o660, None),
        Err(ListenError::InUse { .. })
    ));
    drop(listener);
    assert!(Listener::bind(&path, 0o660, None).is_ok());
    assert_eq!(leftovers(directory.path()), ["control.sock"]);
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("precious");
    std::fs::write(&path, "data").unwrap();
    assert!(matches!(
        Listener::bind(&path, 0o660, None),
        Err(ListenError::NotASocket { .. })
    ));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
    let nowhere = directory.path().join("nowhere/control.sock");
    assert!(matches!(
        Listener::bind(&nowhere, 0o660, None),
        Err(ListenError::Io { .. })
    ));
    let group = Some("no such group");
    assert!(Listener::bind(&directory.path().join("s"), 0o660, group).is_err());
    assert_eq!(leftovers(directory.path()), ["precious"]);
}

fn leftovers(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[tokio::test]
async fn the_end_removes_the_socket_unless_it_is_another_s_by_now() {
    let site = Site::start(Fake::default());
    assert_eq!(site.get("/v1/health").await.status, 200);
    site.stop.send_replace(true);
    site.task.await.unwrap();
    assert!(!site.socket.exists());

    let site = Site::start(Fake::default());
    std::fs::remove_file(&site.socket).unwrap();
    let other = std::os::unix::net::UnixListener::bind(&site.socket).unwrap();
    site.stop.send_replace(true);
    site.task.await.unwrap();
    assert!(site.socket.exists());
    drop(other);
}
