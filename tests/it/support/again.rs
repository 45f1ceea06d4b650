//! A test that runs again as the only one of a process of its own: inside namespaces, or with
//! limits of the process that must not be those of the tests beside it.

use std::env;
use std::process::{Command, Stdio};
use std::thread;

use super::note;

/// Set for the run inside.
const INSIDE: &str = "ANKLET_TEST_INSIDE";

/// Whether this process runs one test alone.
pub(crate) fn is_inside() -> bool {
    env::var_os(INSIDE).is_some()
}

/// The name of the calling test, with its module in front.
pub(crate) fn own_name() -> String {
    let thread = thread::current();
    let name = thread.name().expect("a test's thread has the test's name");
    name.to_owned()
}

/// Runs `body` in a process that `wrapper` starts: the calling test is started again there, and
/// has to pass.
pub(crate) fn in_own_process(mut wrapper: Command, body: impl FnOnce()) {
    if is_inside() {
        return body();
    }
    let output = wrapper
        .arg(env::current_exe().unwrap())
        .args(["--exact", &own_name(), "--nocapture"])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let passed = output.status.success() && stdout.contains("1 passed");
    assert!(passed, "inside {wrapper:?}:\n{stdout}\n{stderr}");
    stderr.lines().for_each(note);
}
