//! Which cores a thread may run on: shards have one each, and what can wait keeps off those.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Keeps the calling thread, and those that it starts, off these cores, if that leaves it any. To the kernel a core whose
/// shard has just gone to sleep is as good as a free one, and whatever wakes up there makes packets late.
pub fn keep_off(cores: &[u16]) {
    let kept = sched_getaffinity(None).and_then(|allowed| match without(&allowed, cores) {
        Some(rest) => sched_setaffinity(None, &rest),
        None => Ok(()),
    });
    if let Err(error) = kept {
        tracing::debug!(%error, "a thread may run on the shards' cores");
    }
}

/// What is allowed apart from these; `None` if that is nothing.
fn without(allowed: &CpuSet, cores: &[u16]) -> Option<CpuSet> {
    let mut rest = *allowed;
    for core in cores.iter().map(|core| usize::from(*core)).filter(|core| *core < CpuSet::MAX_CPU) {
        rest.unset(core);
    }
    (rest.count() > 0).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(cores: &[usize]) -> CpuSet {
        let mut set = CpuSet::new();
        cores.iter().for_each(|core| set.set(*core));
        set
    }

    #[test]
    fn what_is_left_is_what_no_shard_has() {
        assert_eq!(without(&set(&[0, 1, 2]), &[1]), Some(set(&[0, 2])));
        assert_eq!(without(&set(&[0, 1]), &[0, 1]), None, "somewhere it must run");
        assert_eq!(without(&set(&[0]), &[5, u16::MAX]), Some(set(&[0])));
    }

    #[test]
    fn a_thread_keeps_off_and_its_children_too() {
        let thread = std::thread::spawn(|| {
            let allowed = sched_getaffinity(None).unwrap();
            let first = (0..CpuSet::MAX_CPU).find(|core| allowed.is_set(*core)).unwrap();
            keep_off(&[u16::try_from(first).unwrap()]);
            let child = std::thread::spawn(|| sched_getaffinity(None).unwrap()).join().unwrap();
            (first, allowed, child)
        });
        let (first, allowed, child) = thread.join().unwrap();
        assert_eq!(child.is_set(first), allowed.count() == 1);
    }
}
