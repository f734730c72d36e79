//! What is wrong with a configuration, and where.
//!
//! In: places in files, from the reader, the relations, the zone files. Out: [`ConfigProblems`]: every problem with
//! file, line, column, what is wrong and how to mend it. Never here: stopping at the first one.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

/// Whether a problem refuses the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration is taken; the operator should know.
    Warning,
}

macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident = $text:literal,)*) => {
        /// The rule that was broken. Its text is stable: scripts may match it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $($(#[$doc])* $rule,)*
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &[Rule] = &[$(Rule::$rule,)*];

            /// The rule's stable name: `unknown-key`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Rule::$rule => $text,)*
                }
            }
        }
    };
}

rules! {
    /// A file cannot be read.
    Unreadable = "unreadable",
    /// The text is not TOML.
    Syntax = "syntax",
    /// `version` is missing or not one this program reads.
    Version = "version",
    /// A key nobody reads.
    UnknownKey = "unknown-key",
    /// A key that must be there is not.
    MissingKey = "missing-key",
    /// A value of another type than the key takes.
    WrongType = "wrong-type",
    /// A value of the right type that cannot be meant.
    BadValue = "bad-value",
    /// The same thing twice.
    Duplicate = "duplicate",
    /// A line of a list of domains that is not used.
    RejectedDomain = "rejected-domain",
    /// A list of domains whose last line does not end.
    UnfinishedList = "unfinished-list",
    /// What the design has a word for and this version cannot do.
    NotYet = "not-yet",
    /// Nothing is configured that could be served.
    Nothing = "nothing-to-serve",
    /// A name that stands for nothing configured.
    UnknownPool = "unknown-pool",
    /// `timeout` and `interval`.
    TimeoutInterval = "timeout-exceeds-interval",
    /// `retry` and `interval`.
    RetryInterval = "retry-exceeds-interval",
    /// `rise` and `steady`.
    RiseSteady = "rise-below-steady",
    /// Priorities that do not rise along the list.
    PriorityOrder = "priority-order",
    /// Priorities given for some of the pools only.
    PriorityMixed = "priority-mixed",
    /// A port partners do not expect.
    Port = "nonstandard-port",
    /// `sipfederationtls` in a mode its partners do not understand.
    SipMode = "sip-mode",
    /// A SIP target that does not lie directly in the domain.
    SipTarget = "sip-target",
    /// `single` with a pool of several targets.
    SingleTargets = "single-targets",
    /// A family of addresses that is gone after a move.
    FamilyVanishes = "family-vanishes",
    /// `need` larger than a pool.
    Need = "need-exceeds-targets",
    /// `probe` and `publish` do not pair.
    ProbePairs = "probe-pairs",
    /// A required family that a pool does not publish.
    FamilyMissing = "family-missing",
    /// Two things steer the same name.
    OwnerCollision = "owner-collision",
    /// The same host name for targets that partners must tell apart.
    TargetCollision = "target-collision",
    /// Two pools of a route share an address.
    SharedAddress = "shared-address",
    /// A canary that is one of the pools.
    CanaryInPool = "canary-in-pool",
    /// No canaries.
    NoCanaries = "no-canaries",
    /// An address partners cannot reach.
    UnreachableAddress = "unreachable-address",
    /// A TTL that hurts.
    Ttl = "ttl",
    /// Secondaries that would serve signatures beyond their end.
    SoaExpire = "soa-expire",
    /// A hold-down that hurts.
    HoldDown = "hold-down",
    /// Probing often enough to be refused by the probed.
    ProbeRate = "probe-rate",
    /// A failure that would be noticed late.
    SlowDetection = "slow-detection",
    /// A check setting without effect.
    NoEffect = "no-effect",
    /// `from` is a domain the probed servers host.
    FromHosted = "from-hosted",
    /// A check domain that is not a domain of the route.
    ForeignCheckDomain = "foreign-check-domain",
    /// A pool no route uses.
    UnusedPool = "unused-pool",
    /// A route with nothing to fail over to.
    OnePool = "one-pool",
    /// A target that is an alias.
    AliasTarget = "alias-target",
    /// A target whose static addresses are not those its pool publishes.
    TargetAddresses = "target-addresses-differ",
    /// A zone file that was refused.
    ZoneFile = "zone-file",
    /// A steered name that lies in no zone.
    NoZone = "no-zone",
    /// A static record in the place of a steered one.
    StaticAtSteered = "static-at-steered-name",
    /// Zones or names in them that cannot stand together.
    ZoneConflict = "zone-conflict",
    /// A DS of a zone of ours that was written by hand into another one.
    DsByHand = "ds-by-hand",
    /// Generated zones without nameservers to name.
    NoNameservers = "no-nameservers",
    /// A zone with one nameserver.
    OneNameserver = "one-nameserver",
    /// A nameserver inside a zone of ours, without addresses.
    Glue = "glue",
    /// A TSIG key that is not configured.
    UnknownTsig = "unknown-tsig",
    /// A zone that is not served here.
    UnknownZone = "unknown-zone",
    /// A secret in a file that everyone on the machine may read.
    ExposedSecret = "exposed-secret",
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Rule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Bytes of one of the files that were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: usize,
    pub(super) span: Range<usize>,
}

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// One of the files that were read.
#[derive(Clone, Debug)]
pub(super) struct SourceText {
    pub(super) name: String,
    pub(super) text: Arc<str>,
    line_starts: Vec<usize>,
}

impl SourceText {
    fn new(name: String, text: Arc<str>) -> SourceText {
        let line_starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        SourceText {
            name,
            text,
            line_starts,
        }
    }

    /// Index of the line that `offset` lies in.
    pub(super) fn line_index(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset) - 1
    }

    /// The bytes of a line, without its end; clamped to the last line.
    pub(super) fn line_span(&self, index: usize) -> Range<usize> {
        let index = index.min(self.line_starts.len() - 1);
        let start = self.line_starts[index];
        let end = self
            .line_starts
            .get(index + 1)
            .map_or(self.text.len(), |next| next - 1);
        let line = &self.text[start..end];
        start..start + line.trim_end_matches('\r').len()
    }

    fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let index = self.line_index(offset);
        let start = self.line_starts[index];
        let column = self
            .text
            .get(start..offset)
            .map_or(0, |before| before.chars().count());
        (index + 1, column + 1)
    }
}

/// One thing that is wrong, or worth knowing.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    /// Whether it refuses the configuration.
    pub severity: Severity,
    /// The rule that was broken.
    pub rule: Rule,
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong, on which thing, why.
    pub message: String,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// What the marked text is, in a few words.
    #[serde(skip)]
    pub(super) label: Option<String>,
    #[serde(skip)]
    pub(super) place: Place,
    /// Other places that belong to it.
    #[serde(skip)]
    pub(super) related: Vec<(Place, String)>,
}

impl Problem {
    /// Says how to mend it.
    pub(super) fn help(&mut self, text: impl Into<String>) -> &mut Problem {
        self.help = Some(text.into());
        self
    }

    /// Says what the marked text is.
    pub(super) fn label(&mut self, text: impl Into<String>) -> &mut Problem {
        self.label = Some(text.into());
        self
    }

    /// Adds another place that belongs to it.
    pub(super) fn also(&mut self, place: &Place, text: impl Into<String>) -> &mut Problem {
        self.related.push((place.clone(), text.into()));
        self
    }
}

/// Every problem of a configuration: refusing ones and warnings, in the order of the files.
#[derive(Clone, Debug, Default)]
pub struct ConfigProblems {
    pub(super) list: Vec<Problem>,
    pub(super) files: Vec<SourceText>,
}

impl ConfigProblems {
    /// All of them, in the order of the files.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter()
    }

    /// Those that refuse the configuration.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.iter().filter(|p| p.severity == Severity::Error)
    }

    /// Those that do not.
    pub fn warnings(&self) -> impl Iterator<Item = &Problem> {
        self.iter().filter(|p| p.severity == Severity::Warning)
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The problems as a JSON array: severity, rule, file, line, column, message, help.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(&self.list).unwrap_or_default()
    }

    /// Takes a file in, so that places can point into it.
    pub(super) fn add_file(&mut self, name: &str, text: &str) -> usize {
        self.files
            .push(SourceText::new(name.to_owned(), text.into()));
        self.files.len() - 1
    }

    /// The place of a whole line, counted from 1.
    pub(super) fn line(&self, file: usize, line: usize) -> Place {
        Place {
            file,
            span: self.files[file].line_span(line.saturating_sub(1)),
        }
    }

    /// Adds a problem that refuses the configuration.
    pub(super) fn error(
        &mut self,
        rule: Rule,
        place: &Place,
        message: impl Into<String>,
    ) -> &mut Problem {
        self.add(Severity::Error, rule, place, message.into())
    }

    /// Adds a problem that does not.
    pub(super) fn warning(
        &mut self,
        rule: Rule,
        place: &Place,
        message: impl Into<String>,
    ) -> &mut Problem {
        self.add(Severity::Warning, rule, place, message.into())
    }

    /// Whether the configuration is refused.
    pub(super) fn refuse(&self) -> bool {
        self.errors().next().is_some()
    }

    /// The line a place begins on, counted from 1.
    pub(super) fn line_of(&self, place: &Place) -> usize {
        self.files[place.file].line_index(place.span.start) + 1
    }

    /// Puts the problems in the order of the files. What two services of a route have from one key is said once.
    pub(super) fn settle(&mut self) {
        self.list
            .sort_by_key(|p| (p.place.file, p.line, p.column, p.severity, p.rule));
        self.list
            .dedup_by(|b, a| (&a.place, a.rule, &a.message) == (&b.place, b.rule, &b.message));
    }

    fn add(
        &mut self,
        severity: Severity,
        rule: Rule,
        place: &Place,
        message: String,
    ) -> &mut Problem {
        let file = &self.files[place.file];
        let (line, column) = file.line_and_column(place.span.start);
        self.list.push(Problem {
            severity,
            rule,
            file: file.name.clone(),
            line,
            column,
            message,
            help: None,
            label: None,
            place: place.clone(),
            related: Vec::new(),
        });
        let last = self.list.len() - 1;
        &mut self.list[last]
    }
}

impl std::error::Error for ConfigProblems {}

/// Reports everything that is written twice.
pub(super) fn no_duplicates<T: Ord + Display>(
    items: &[At<T>],
    what: &str,
    problems: &mut ConfigProblems,
) {
    let mut seen: BTreeMap<&T, &Place> = BTreeMap::new();
    for item in items {
        if let Some(first) = seen.get(&item.value) {
            let value = &item.value;
            problems
                .error(
                    Rule::Duplicate,
                    &item.place,
                    format!("{what} {value} is written twice"),
                )
                .label("again here")
                .also(first, "first here")
                .help("leave one of them out");
        } else {
            seen.insert(&item.value, &item.place);
        }
    }
}
