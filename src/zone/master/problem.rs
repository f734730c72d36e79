//! Problems of a master file: the place, the fact, whether the file can be used all the same.
//!
//! In: facts found by the reader and by the checks of `static_zone`. Out: messages an operator can act on.
//! Never here: what stays in force, which is said by whoever asked for the file; what to do (`mend`).

use std::fmt;
use std::sync::Arc;

use super::fault::MasterFault;

/// A line of a file, as a message names it: `zones/fed.contoso.com.zone:12`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceLine {
    /// The file, as its loader called it.
    pub file: Arc<str>,
    /// The line, from 1; 0 where lines are not counted, as in a transfer.
    pub line: u32,
}

impl SourceLine {
    /// The whole of something that has no lines.
    pub(in crate::zone) fn whole(source: &str) -> SourceLine {
        SourceLine {
            file: source.into(),
            line: 0,
        }
    }

    /// ` at FILE:LINE`; nothing for what has no lines.
    pub(super) fn place(&self) -> String {
        match self.line {
            0 => String::new(),
            _ => format!(" at {self}"),
        }
    }
}

impl fmt::Display for SourceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

/// Whether a file can be used in spite of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but this is hardly meant.
    Warning,
}

/// One problem of a master file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterProblem {
    /// Where.
    pub at: SourceLine,
    /// What.
    pub fault: MasterFault,
}

impl MasterFault {
    /// Whether the file cannot be used because of it.
    pub(in crate::zone) fn is_error(&self) -> bool {
        self.severity() == Severity::Error
    }

    fn severity(&self) -> Severity {
        match self {
            MasterFault::Duplicate { .. }
            | MasterFault::Occluded { .. }
            | MasterFault::BelowDname { .. }
            | MasterFault::WildcardDname { .. }
            | MasterFault::ZoneDigest { .. }
            | MasterFault::CnameToNothing { .. }
            | MasterFault::DotMissing { refused: false, .. }
            | MasterFault::DotlessTarget { refused: false, .. }
            | MasterFault::DotConflict { refused: false, .. }
            | MasterFault::SoaOdd { .. }
            | MasterFault::Private { .. }
            | MasterFault::WindowsExport { .. }
            | MasterFault::SiblingGlue { .. } => Severity::Warning,
            _ => Severity::Error,
        }
    }
}

impl MasterProblem {
    /// Whether the file can be used all the same.
    pub fn severity(&self) -> Severity {
        self.fault.severity()
    }

    /// What to do about it.
    pub fn mend(&self) -> String {
        self.fault.mend()
    }
}

impl fmt::Display for MasterProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.fault)
    }
}
