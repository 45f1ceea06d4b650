//! A proxy as a process on a core of its own, and what it costs: processor time and memory of it
//! and of all its children and threads.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// Where the calling thread may run: the proxy's core, the generator's.
#[derive(Clone, Copy)]
pub(crate) enum Core {
    Generator,
    Proxy,
}

/// The cores that this process might use at first.
fn cores() -> &'static [usize] {
    static CORES: OnceLock<Vec<usize>> = OnceLock::new();
    CORES.get_or_init(|| {
        let set = sched_getaffinity(Pid::from_raw(0)).unwrap();
        let is_ours = |cpu: &usize| set.is_set(*cpu).unwrap();
        (0..CpuSet::count()).filter(is_ours).collect()
    })
}

/// Keeps the calling thread, and what it starts, on a core: the first is the generator's, the
/// second the proxy's. On a machine with one core both have it.
pub(crate) fn pin(core: Core) {
    let cores = cores();
    let cpu = match core {
        Core::Generator => cores[0],
        Core::Proxy => *cores.get(1).unwrap_or(&cores[0]),
    };
    let mut set = CpuSet::new();
    set.set(cpu).unwrap();
    sched_setaffinity(Pid::from_raw(0), &set).unwrap();
}

/// A running program, and those that it has started. All end when dropped.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts a program on the proxy's core, in a process group of its own.
    pub(crate) fn start(mut command: Command) -> io::Result<Self> {
        pin(Core::Proxy);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        pin(Core::Generator);
        Ok(Self { child: child? })
    }

    /// Asks the innermost of its processes to end, and waits for it.
    pub(crate) fn stop(&mut self) {
        let last = self.tree().last().copied();
        let pid = Pid::from_raw(last.unwrap_or_else(|| self.child.id()).cast_signed());
        let _ = nix::sys::signal::kill(pid, Signal::SIGTERM);
        let start = Instant::now();
        while self.is_running() && start.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether it is still there.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Lets it run on another core, by its place among those that this process had.
    pub(crate) fn move_to(&self, core: usize) {
        let cores = cores();
        let mut set = CpuSet::new();
        set.set(cores[core % cores.len()]).unwrap();
        sched_setaffinity(Pid::from_raw(self.child.id().cast_signed()), &set).unwrap();
    }

    /// Processor time so far, of all its threads and children, those that have ended included.
    pub(crate) fn cpu(&self) -> Duration {
        let ticks: u64 = self.tree().into_iter().map(ticks).sum();
        let hertz = sysconf(SysconfVar::CLK_TCK).unwrap().unwrap();
        Duration::from_secs_f64(ticks as f64 / hertz as f64)
    }

    /// Memory in KiB: what its processes have of their own, and their share of what several have
    /// (PSS).
    pub(crate) fn memory_kib(&self) -> f64 {
        self.tree().into_iter().map(pss_kib).sum()
    }

    /// It and its descendants.
    fn tree(&self) -> Vec<u32> {
        let mut tree = vec![self.child.id()];
        let mut at = 0;
        while let Some(process) = tree.get(at) {
            let tasks = fs::read_dir(format!("/proc/{process}/task"));
            for task in tasks.into_iter().flatten().flatten() {
                let children = fs::read_to_string(task.path().join("children"));
                let children = children.unwrap_or_default();
                tree.extend(
                    children
                        .split_whitespace()
                        .filter_map(|id| id.parse::<u32>().ok()),
                );
            }
            at += 1;
        }
        tree
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let tree = self.tree();
        let _ = killpg(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGKILL,
        );
        for process in tree {
            // A daemon's children may be in groups of their own.
            let pid = Pid::from_raw(process.cast_signed());
            let _ = nix::sys::signal::kill(pid, Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

/// Time that a process has used, in ticks: utime, stime, cutime and cstime of /proc/PID/stat.
fn ticks(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let Some((_, fields)) = stat.rsplit_once(')') else {
        return 0;
    };
    let times = fields.split_whitespace().skip(11).take(4);
    times.filter_map(|field| field.parse::<u64>().ok()).sum()
}

/// Memory of a process itself.
fn pss_kib(process: u32) -> f64 {
    let sums = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
    let line = sums.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.unwrap_or(0.0)
}

/// What the kernel of this machine holds that is not a process's own, in KiB: its objects, stacks and
/// tables, and the buffers of TCP. Both ends of every tunnel are in it, and whatever else goes on.
pub(crate) fn kernel_kib() -> f64 {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok())
    };
    let parts = ["Slab:", "KernelStack:", "PageTables:", "Percpu:"].map(kib);
    let sockets = fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    let line = sockets.lines().find(|line| line.starts_with("TCP:"));
    let pages = line.and_then(|line| line.split_whitespace().last()?.parse::<f64>().ok());
    let page_kib = sysconf(SysconfVar::PAGE_SIZE).unwrap().unwrap() as f64 / 1024.0;
    parts.into_iter().flatten().sum::<f64>() + pages.unwrap_or(0.0) * page_kib
}

#[test]
fn a_program_is_measured_with_its_children_and_ends_with_them() {
    let mut command = Command::new("sh");
    command.args(["-c", "sh -c 'while :; do :; done' & wait"]);
    let mut process = Process::start(command).unwrap();
    let start = Instant::now();
    while process.cpu() < Duration::from_millis(50) {
        assert!(start.elapsed() < Duration::from_secs(20), "it runs in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(process.is_running());
    assert_eq!(process.tree().len(), 2);
    assert!(process.memory_kib() > 0.0);
    let child = process.tree()[1];
    drop(process);
    while ticks(child) > 0 {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "its child lives on"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
