use std::env;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, test_kill_process};
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::*;

/// The processes of a server: the first one, and those that it has started.
fn processes(server: &Server) -> Vec<Pid> {
    let first = process::pid(&server.running.as_ref().unwrap().process).unwrap();
    let mut all = process::children(first);
    all.push(first);
    all
}

/// Waits until something is so, which it is in the end.
fn wait_until(is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(30));
        thread::sleep(LOOK);
    }
}

fn is_gone(process: Pid) -> bool {
    test_kill_process(process).is_err()
}

#[tokio::test]
async fn a_server_answers_and_leaves_neither_process_nor_directory() {
    let server = Server::start().unwrap();
    let mut connection = PgConnection::connect(&server.url("postgres")).await.unwrap();
    let (encoding, collation): (String, String) =
        sqlx::query_as("SELECT current_setting('server_encoding'), current_setting('lc_collate')")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert_eq!((encoding.as_str(), collation.as_str()), ("UTF8", "C"));
    let (directory, processes) = (server.socket_directory().to_owned(), processes(&server));
    assert!(directory.exists() && processes.len() > 3, "{processes:?}");
    drop(server);
    assert!(!directory.exists());
    wait_until(|| processes.iter().all(|&process| is_gone(process)));
}

#[tokio::test]
async fn a_killed_server_comes_back_with_what_was_committed_and_nothing_else() {
    let mut server = Server::start().unwrap();
    let url = server.url("postgres");
    let mut connection = PgConnection::connect(&url).await.unwrap();
    connection
        .execute("CREATE TABLE kept (number BIGINT); INSERT INTO kept VALUES (1)")
        .await
        .unwrap();
    let mut open = connection.begin().await.unwrap();
    open.execute("INSERT INTO kept VALUES (2)").await.unwrap();
    // A backend at work does not notice by itself that its postmaster is gone.
    let mut busy = PgConnection::connect(&url).await.unwrap();
    let busy = tokio::spawn(async move { busy.execute("DO 'BEGIN LOOP END LOOP; END'").await });
    let at_work = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'DO%'";
    while server.sql("postgres", at_work).unwrap() == "0" {
        tokio::time::sleep(LOOK).await;
    }
    let processes = processes(&server);
    assert!(processes.len() > 3, "{processes:?}");
    server.kill().unwrap();
    wait_until(|| processes.iter().all(|&process| is_gone(process)));
    assert!(busy.await.unwrap().is_err());
    assert!(open.commit().await.is_err());
    assert!(PgConnection::connect(&url).await.is_err());
    server.restart().unwrap();
    assert_eq!(server.sql("postgres", "SELECT number FROM kept").unwrap(), "1");
}

#[test]
fn a_stopped_server_starts_again_as_often_as_it_is_told_to() {
    let mut server = Server::start().unwrap();
    server
        .sql("postgres", "CREATE TABLE kept (number BIGINT)")
        .unwrap();
    for _ in 0..2 {
        server.stop().unwrap();
        assert!(server.sql("postgres", "SELECT 1").is_err());
        server.restart().unwrap();
        // Once more, which changes nothing.
        server.restart().unwrap();
    }
    assert_eq!(server.sql("postgres", "SELECT count(*) FROM kept").unwrap(), "0");
}

#[test]
fn a_standby_answers_and_writes_nothing() {
    let mut server = Server::start().unwrap();
    server
        .sql("postgres", "CREATE TABLE kept (number BIGINT)")
        .unwrap();
    server.demote().unwrap();
    assert_eq!(server.sql("postgres", "SELECT count(*) FROM kept").unwrap(), "0");
    let error = server.sql("postgres", "INSERT INTO kept VALUES (1)").unwrap_err();
    assert!(error.to_string().contains("read-only"), "{error}");
}

#[test]
fn a_directory_without_room_for_the_name_of_a_socket_is_refused() {
    let of_length = |bytes: usize| PathBuf::from("d".repeat(bytes));
    check_depth(&of_length(DIRECTORY_BYTES_MAX)).unwrap();
    let error = check_depth(&of_length(DIRECTORY_BYTES_MAX + 1)).unwrap_err();
    assert!(error.to_string().contains("TMPDIR"), "{error}");
}

#[test]
fn a_server_that_is_stopped_for_a_while_is_ended_all_the_same() {
    let server = Server::start().unwrap();
    let processes = processes(&server);
    process::signal(*processes.last().unwrap(), Signal::STOP).unwrap();
    drop(server);
    wait_until(|| processes.iter().all(|&process| is_gone(process)));
}

#[test]
fn a_server_that_did_not_start_can_be_started_once_nothing_is_in_the_way() {
    let mut server = Server::start().unwrap();
    server.stop().unwrap();
    let (version, away) = (server.data().join("PG_VERSION"), server.data().join("away"));
    fs::rename(&version, &away).unwrap();
    let error = server.restart().unwrap_err();
    assert!(error.to_string().contains("PG_VERSION"), "{error}");
    fs::rename(&away, &version).unwrap();
    server.restart().unwrap();
    assert_eq!(server.sql("postgres", "SELECT 1").unwrap(), "1");
}

#[test]
fn a_server_that_refuses_its_settings_says_why() {
    let options = Options {
        settings: &[("max_connections", "none")],
        ..Options::default()
    };
    let error = Server::start_with(&options).unwrap_err();
    assert!(
        matches!(error, ServerError::NotReady { .. }) && error.to_string().contains("max_connections"),
        "{error}"
    );
}

#[test]
fn a_server_is_ready_when_its_own_file_says_so_of_its_own_process() {
    let file =
        |process: u32, state: &str| format!("{process}\n/d\n1764518400\n5432\n/d\n\n  123 0\n{state}\n");
    assert!(is_ready(&file(7, "ready   "), 7));
    assert!(is_ready(&file(7, "standby "), 7));
    assert!(!is_ready(&file(7, "starting"), 7));
    // The file of a server that was killed.
    assert!(!is_ready(&file(6, "ready   "), 7));
    assert!(!is_ready("7\n/d\n", 7));
    assert!(!is_ready("", 7));
}

/// Set for the program that holds a server and is ended.
const HOLDS: &str = "BSS_TEST_HOLDS_SERVER";

#[test]
fn a_server_of_the_whole_program_ends_when_the_program_ends_or_is_killed() {
    if env::var_os(HOLDS).is_some() {
        return hold();
    }
    for is_killed in [true, false] {
        let (mut program, mut said, directory, server) = holder();
        assert!(directory.exists() && !is_gone(server));
        if is_killed {
            program.kill().unwrap();
        }
        // The program ends when nobody can write to it any more.
        drop(program.stdin.take());
        io::copy(&mut said, &mut io::sink()).unwrap();
        assert_eq!(program.wait().unwrap().success(), !is_killed);
        wait_until(|| is_gone(server) && !directory.exists());
    }
}

/// Holds the server of this program, and says so, until the program has no input any more.
fn hold() {
    let server = shared().unwrap();
    let first = *processes(server).last().unwrap();
    println!(
        "\nholds {} {}",
        first.as_raw_nonzero(),
        server.socket_directory().display()
    );
    io::stdin().read_line(&mut String::new()).unwrap();
}

/// Starts this test anew as a program that holds a server, with what it says, and the directory and the first process of that.
fn holder() -> (Child, BufReader<ChildStdout>, PathBuf, Pid) {
    let mut program = Command::new(env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("server::tests::a_server_of_the_whole_program_ends_when_the_program_ends_or_is_killed")
        .env(HOLDS, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(program.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("holds ") {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0);
    }
    let (process, directory) = line.trim_end()["holds ".len()..].split_once(' ').unwrap();
    let process = Pid::from_raw(process.parse().unwrap()).unwrap();
    (program, said, directory.into(), process)
}
