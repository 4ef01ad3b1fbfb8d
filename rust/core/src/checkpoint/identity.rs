//! What tells a file from another that took its path.

use std::fs::{File, Metadata};

/// A file, and the moment of its last change, as the system knows them.
///
/// Copies keep length and modification time (`cp -p`, `rsync -t`, archives), and who writes to a file
/// may set the time back; device and number are the file's own, and nobody sets the time of a change.
/// They mean nothing to another machine, nor for a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    number: u64,
    changed_ns: i128,
}

impl Identity {
    /// That of an open file of these metadata, or `None` where the file system gives none that lasts.
    pub(super) fn of(file: &File, stat: &Metadata) -> Option<Self> {
        if is_made_up(file) { None } else { Self::said(stat) }
    }

    /// What the metadata say.
    #[cfg(unix)]
    pub(crate) fn said(stat: &Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let changed_ns = i128::from(stat.ctime()) * 1_000_000_000 + i128::from(stat.ctime_nsec());
        Some(Self { device: stat.dev(), number: stat.ino(), changed_ns })
    }

    #[cfg(not(unix))]
    pub(crate) fn said(_stat: &Metadata) -> Option<Self> {
        None
    }

    /// Whether the other is the same file.
    pub(super) fn is_file(&self, other: &Self) -> bool {
        (self.device, self.number) == (other.device, other.number)
    }
}

/// Whether numbers of files are made up as files are looked up: those of file systems in user space, as
/// buckets are mounted by, are others after a while.
#[cfg(target_os = "linux")]
fn is_made_up(file: &File) -> bool {
    const FUSE: i128 = 0x6573_5546;
    rustix::fs::fstatfs(file).is_ok_and(|system| i128::from(system.f_type) == FUSE)
}

#[cfg(not(target_os = "linux"))]
fn is_made_up(_file: &File) -> bool {
    false
}
