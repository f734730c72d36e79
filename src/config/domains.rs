//! Lists of domains in files of their own.
//!
//! In: the drafts of all routes, and what reads files. Out: the domains of each route with their places. A line that cannot
//! be used rejects that line's domain. Never here: refusing the whole configuration for one line of many.

use std::collections::HashMap;

use serde::Serialize;

use crate::topology::{DomainName, NameError, ZonePlacement};

use super::draft::{Draft, RouteDraft};
use super::named_files::{Files, read_file};
use super::problem::{At, ConfigProblems, Place, Rule};
use super::validate;

/// Rejected lines of one file that are reported one by one. The rest is counted.
const REPORTED: usize = 10;

/// Lines of a list of domains that are not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RejectedLines {
    /// The file, as it was named.
    pub file: String,
    /// How many lines.
    pub count: usize,
    /// The first of them: line number and reason.
    pub first: Vec<(usize, String)>,
}

/// A list of domains whose last line does not end: the file may be cut off there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnfinishedList {
    /// The file, as it was named.
    pub file: String,
    /// The number of its last line.
    pub line: usize,
    /// What stands on the last line, in lower case.
    pub text: String,
}

/// What was found in the lists of domains.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// The domains of each route, in the order of the drafts.
    pub(super) domains: Vec<Vec<At<DomainName>>>,
    pub(super) rejected: Vec<RejectedLines>,
    pub(super) unfinished: Vec<UnfinishedList>,
}

/// A name and whether SRV records stand there. The value is the route that steers it.
type Steered = HashMap<(DomainName, bool), usize>;

/// Reads the domains of every route.
pub(super) fn read(draft: &Draft, files: &mut Files<'_>, problems: &mut ConfigProblems) -> Lists {
    let mut lists = Lists::default();
    let mut steered = Steered::new();
    for (index, route) in draft.routes.iter().enumerate() {
        for domain in &route.domains.items {
            claim(index, route, &domain.value, &mut steered);
        }
        lists.domains.push(route.domains.items.clone());
    }
    for (index, route) in draft.routes.iter().enumerate() {
        if route.domains_file.is_some() {
            let list = List::read(route, files, problems);
            let Some(list) = list else { continue };
            let domains = list.settle(draft, index, &mut steered, &mut lists, problems);
            lists.domains[index].extend(domains);
        }
    }
    lists
}

/// The names that a route steers for a domain; the reason when one of them cannot exist.
fn owners(route: &RouteDraft, domain: &DomainName) -> Result<Vec<(DomainName, bool)>, String> {
    let services = route.services.iter();
    let services = services.map(|service| (validate::service_owner(service), true));
    let address = route.address.iter();
    let address = address.map(|address| (address.value.clone(), false));
    let all = services.chain(address);
    all.map(|(template, srv)| match template.for_domain(domain) {
        Ok(owner) => Ok((owner, srv)),
        Err(error) => Err(format!("a steered name of it cannot exist: {error}")),
    })
    .collect()
}

/// Takes the names of a domain for a route. Another route keeps what it has.
fn claim(index: usize, route: &RouteDraft, domain: &DomainName, steered: &mut Steered) {
    for owner in owners(route, domain).unwrap_or_default() {
        steered.entry(owner).or_insert(index);
    }
}

/// A line of a file, or the reason why it is not used.
type Line = (Place, Result<DomainName, String>);

/// One file, read line by line.
struct List {
    file: usize,
    name: String,
    place: Place,
    lines: Vec<Line>,
    unfinished: Option<UnfinishedList>,
}

impl List {
    fn read(
        route: &RouteDraft,
        files: &mut Files<'_>,
        problems: &mut ConfigProblems,
    ) -> Option<List> {
        let path = route.domains_file.as_ref()?;
        let (file, text) = read_file(path, "the list of domains", files, problems)?;
        let name = path.value.display().to_string();
        let mut list = List {
            file,
            name: name.clone(),
            place: path.place.clone(),
            lines: Vec::new(),
            unfinished: None,
        };
        // Windows editors begin a text with a byte order mark.
        let mut start = if text.starts_with('\u{feff}') {
            '\u{feff}'.len_utf8()
        } else {
            0
        };
        let mut known: HashMap<DomainName, usize> = HashMap::new();
        for (at, line) in text[start..].split_inclusive('\n').enumerate() {
            let content = line.split('#').next().unwrap_or("");
            let domain = content.trim();
            let ends = line.ends_with('\n');
            if !domain.is_empty() {
                let from = start + (content.len() - content.trim_start().len());
                let place = Place {
                    file,
                    span: from..from + domain.len(),
                };
                let parsed = parse(domain, ends, at + 1, &mut known);
                list.lines.push((place, parsed));
                if !ends && content.len() == line.len() {
                    list.unfinished = Some(UnfinishedList {
                        file: name.clone(),
                        line: at + 1,
                        text: domain.to_lowercase(),
                    });
                }
            }
            start += line.len();
        }
        Some(list)
    }

    /// The domains that the route takes. Everything else is reported and left out.
    fn settle(
        mut self,
        draft: &Draft,
        index: usize,
        steered: &mut Steered,
        lists: &mut Lists,
        problems: &mut ConfigProblems,
    ) -> Vec<At<DomainName>> {
        if self.lines.is_empty() {
            problems
                .error(Rule::BadValue, &self.place, "the list of domains is empty")
                .help("write one domain per line; # begins a comment");
            return Vec::new();
        }
        let route = &draft.routes[index];
        let relations: Vec<Option<String>> = self
            .lines
            .iter()
            .map(|(_, line)| unfit(draft, index, line.as_ref().ok()?, steered))
            .collect();
        let usable = |(line, why): (&Line, &Option<String>)| line.1.is_ok() && why.is_none();
        // Where no line fits, the fault is the route's and not the lines': `validate` names it.
        if self.lines.iter().zip(&relations).any(usable) {
            for ((_, line), why) in self.lines.iter_mut().zip(relations) {
                if let Some(why) = why {
                    *line = Err(why);
                }
            }
        }
        self.report(lists, problems);
        let taken = self.lines.into_iter().filter_map(|(place, line)| {
            let value = line.ok()?;
            claim(index, route, &value, steered);
            Some(At { value, place })
        });
        let taken: Vec<At<DomainName>> = taken.collect();
        if taken.is_empty() {
            problems
                .error(
                    Rule::BadValue,
                    &self.place,
                    format!("no line of {} is a domain", self.name),
                )
                .help("write one domain per line; # begins a comment");
        }
        taken
    }

    fn report(&self, lists: &mut Lists, problems: &mut ConfigProblems) {
        let mut rejected = RejectedLines {
            file: self.name.clone(),
            count: 0,
            first: Vec::new(),
        };
        let mut last = None;
        for (place, line) in &self.lines {
            let Err(why) = line else { continue };
            rejected.count += 1;
            if rejected.count <= REPORTED {
                rejected.first.push((problems.line_of(place), why.clone()));
                problems
                    .warning(
                        Rule::RejectedDomain,
                        place,
                        format!("this line is not used: {why}"),
                    )
                    .help("correct the line or remove it; the other domains of the file are used");
            }
            last = Some(place);
        }
        if let Some(place) = last.filter(|_| rejected.count > REPORTED) {
            let more = rejected.count - REPORTED;
            problems
                .warning(
                    Rule::RejectedDomain,
                    place,
                    format!("{more} more lines of this file are not used; this is the last one"),
                )
                .help("write one domain per line; # begins a comment");
        }
        if rejected.count > 0 {
            lists.rejected.push(rejected);
        }
        if let Some(unfinished) = &self.unfinished {
            let place = problems.line(self.file, unfinished.line);
            problems
                .warning(
                    Rule::UnfinishedList,
                    &place,
                    format!(
                        "the last line of {} has no line end: the file may be cut off here",
                        self.name
                    ),
                )
                .help("check that the list is complete, and end the last line");
            lists.unfinished.push(unfinished.clone());
        }
    }
}

/// A domain, unless the line is no domain or the file has it already.
fn parse(
    text: &str,
    ends: bool,
    line: usize,
    known: &mut HashMap<DomainName, usize>,
) -> Result<DomainName, String> {
    let domain: DomainName = text
        .parse()
        .map_err(|error: NameError| format!("it is not a domain: {error}"))?;
    if !ends && domain.label_count() == 1 {
        return Err(format!(
            "{text:?} is one label on a line without an end: the file may be cut off here"
        ));
    }
    if let Some(first) = known.get(&domain) {
        return Err(format!("{domain} stands on line {first} already"));
    }
    known.insert(domain.clone(), line);
    Ok(domain)
}

/// Why a domain cannot be in a route, beside what is in it already.
fn unfit(draft: &Draft, index: usize, domain: &DomainName, steered: &Steered) -> Option<String> {
    let route = &draft.routes[index];
    let owners = match owners(route, domain) {
        Ok(owners) => owners,
        Err(why) => return Some(why),
    };
    let taken = owners.iter().find_map(|owner| {
        let other = steered.get(owner).filter(|other| **other != index)?;
        Some((owner, *other))
    });
    if let Some(((owner, _), other)) = taken {
        let name = draft.routes[other].name.as_ref();
        let name = name.map_or("?", |name| name.value.as_str());
        return Some(format!("route {name} steers {owner} already"));
    }
    if route.zones == ZonePlacement::Configured {
        let apexes = || draft.zones.iter().filter_map(|zone| zone.apex.as_ref());
        let homeless = owners
            .iter()
            .find(|(owner, _)| !apexes().any(|apex| owner.is_at_or_below(&apex.value)));
        if let Some((owner, _)) = homeless {
            return Some(format!("{owner} lies in no [[zone]]"));
        }
    }
    None
}
