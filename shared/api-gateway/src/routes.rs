//! The routes of an API, and policies that decide for all of them at once.
//!
//! A cached policy applies to every route, so it must be correct for every route. IAM's `*` matches
//! slashes: `GET/users/*` also covers `GET/users/7/orders`, which is another route. If that route
//! may be denied, the policy has an explicit Deny in addition to the Allow; if that Deny would cover
//! a route that may be allowed, no policy can express the pair, and the table is rejected.

use std::collections::BTreeSet;

use crate::iam_policy::{Effect, IamPolicy};
use crate::method_arn::{MAX_RESOURCE_BYTES, MethodArn, is_plain};
use crate::path::normalize_path;

/// The maximum number of routes in a table: a policy for more would not fit into 8 KB.
const MAX_ROUTES: usize = 200;
/// The policy's share of API Gateway's limit of 8 KB; the rest is for principal and context.
const MAX_POLICY_BYTES: usize = 6 * 1024;
/// Generous upper bound for `arn:partition:execute-api:region:account:api/stage`.
const MAX_PREFIX_BYTES: usize = 180;
/// The same for a stage of up to 40 characters. With a longer one, a response of more than 8 KB is still an error.
const USUAL_PREFIX_BYTES: usize = 100;
/// The steps in which a table's overlaps must be found, so that the start ends; usual tables take some thousands.
const MAX_TRIALS: usize = 100_000;

/// One route: a verb and a template such as `/users/{id}` or `/files/{path+}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    verb: String,
    template: String,
    segments: Vec<Segment>,
}

/// A parameter of a template: `{name}`, or `{name+}` for the rest of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter<'t> {
    /// Without braces and plus sign.
    pub name: &'t str,
    /// Whether it has the rest of the path.
    pub is_greedy: bool,
}

impl Parameter<'_> {
    /// A value of the parameter, percent-decoded once; `None` if two programs could read it differently.
    #[must_use]
    pub fn decode(&self, value: &str) -> Option<String> {
        let decoded = normalize_path(value)?;
        let decoded = decoded.strip_prefix('/')?;
        let fits = self.is_greedy || !decoded.contains('/');
        fits.then(|| decoded.to_owned())
    }
}

/// The parameters of a template, in their order.
pub fn parameters_of(template: &str) -> impl Iterator<Item = Parameter<'_>> {
    template.split('/').filter_map(parameter)
}

fn parameter(segment: &str) -> Option<Parameter<'_>> {
    let inner = segment.strip_prefix('{')?.strip_suffix('}')?;
    let greedy = inner.strip_suffix('+');
    Some(Parameter {
        name: greedy.unwrap_or(inner),
        is_greedy: greedy.is_some(),
    })
}

/// Ordered by API Gateway's precedence: the most specific first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(String),
    Parameter,
    Greedy,
}

/// Why a list of routes was rejected, with the route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RouteError(String);

impl Route {
    /// Parses a verb and a template.
    ///
    /// # Errors
    /// A segment is neither a parameter nor a plain literal, or `{name+}` is not the last one.
    pub fn parse(verb: &str, template: &str) -> Result<Self, RouteError> {
        let wrong = |why: &str| RouteError(format!("{verb} {template}: {why}"));
        if verb.is_empty() || !verb.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(wrong("the verb is not in upper case"));
        }
        let path = template
            .strip_prefix('/')
            .ok_or_else(|| wrong("the template does not start with a slash"))?;
        let segments: Vec<Segment> = if path.is_empty() {
            Vec::new()
        } else {
            path.split('/')
                .map(segment)
                .collect::<Option<_>>()
                .ok_or_else(|| wrong("a segment is neither a plain literal nor one parameter"))?
        };
        let inner = segments.split_last().map_or(&[][..], |(_, inner)| inner);
        if inner.contains(&Segment::Greedy) {
            return Err(wrong("a greedy parameter is not the last segment"));
        }
        Ok(Self {
            verb: verb.to_owned(),
            template: template.to_owned(),
            segments,
        })
    }

    /// The HTTP verb.
    #[must_use]
    pub fn verb(&self) -> &str {
        &self.verb
    }

    /// The template.
    #[must_use]
    pub fn template(&self) -> &str {
        &self.template
    }

    /// The values of the template's parameters, by name, in `path`, which must match the template. A greedy parameter
    /// has the rest of the path.
    #[must_use]
    pub fn parameters(&self, path: &str) -> Vec<(String, String)> {
        let mut given = split(path).into_iter();
        let template = self.template.split('/').skip(1);
        let mut found = Vec::new();
        for segment in template {
            let value = given.next().unwrap_or_default();
            match parameter(segment) {
                None => {}
                Some(Parameter { name, is_greedy }) => {
                    let mut value = value.to_owned();
                    if is_greedy {
                        value = given.by_ref().fold(value, |rest, one| rest + "/" + one);
                    }
                    found.push((name.to_owned(), value));
                }
            }
        }
        found
    }

    fn matches(&self, verb: &str, path: &[&str]) -> bool {
        let fits = match self.segments.split_last() {
            Some((Segment::Greedy, fixed)) => path.len() > fixed.len(),
            _ => path.len() == self.segments.len(),
        };
        self.verb == verb
            && fits
            && self
                .segments
                .iter()
                .zip(path)
                .all(|(own, given)| match own {
                    Segment::Literal(literal) => literal == given,
                    Segment::Parameter | Segment::Greedy => !given.is_empty(),
                })
    }

    /// API Gateway prefers the route with the smallest one of those that match.
    fn rank(&self) -> Vec<u8> {
        let rank = |segment: &Segment| match segment {
            Segment::Literal(_) => 0,
            Segment::Parameter => 1,
            Segment::Greedy => 2,
        };
        self.segments.iter().map(rank).collect()
    }

    /// `VERB/users/*`: the part of a policy's resource after the stage.
    fn pattern(&self) -> String {
        let segments: Vec<&str> = self
            .segments
            .iter()
            .map(|segment| match segment {
                Segment::Literal(literal) => literal.as_str(),
                Segment::Parameter | Segment::Greedy => "*",
            })
            .collect();
        format!("{}/{}", self.verb, segments.join("/"))
    }
}

fn segment(text: &str) -> Option<Segment> {
    let is_name = |name: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
        !name.is_empty() && name.bytes().all(plain)
    };
    match parameter(text) {
        Some(Parameter { name, .. }) if !is_name(name) => None,
        Some(Parameter { is_greedy, .. }) => Some(match is_greedy {
            true => Segment::Greedy,
            false => Segment::Parameter,
        }),
        None => {
            let literal = !text.is_empty() && text.bytes().all(is_plain);
            literal.then(|| Segment::Literal(text.to_owned()))
        }
    }
}

/// All routes of an API, for which one policy can decide.
#[derive(Clone, Debug)]
pub struct RouteTable {
    routes: Vec<Route>,
    /// `reaches[a][b]`: some request to route `a` lies within the pattern of route `b`.
    reaches: Vec<Vec<Reach>>,
}

/// Whether some request to one route lies within the pattern of another.
#[derive(Clone, Copy, Debug, Default)]
struct Reach {
    /// By the path that the route's template describes.
    plain: bool,
    /// By such a path and a trailing slash, which API Gateway may ignore.
    slashed: bool,
}

impl RouteTable {
    /// Creates a table in which a policy can express every set of allowed routes exactly.
    ///
    /// # Errors
    /// All routes that prevent this, or limits that a policy could exceed.
    pub fn new(routes: Vec<Route>) -> Result<Self, Vec<RouteError>> {
        if routes.is_empty() || routes.len() > MAX_ROUTES {
            let count = routes.len();
            return Err(vec![RouteError(format!(
                "{count} routes, not 1 to {MAX_ROUTES}"
            ))]);
        }
        let mut errors = Vec::new();
        for (at, route) in routes.iter().enumerate() {
            let twin = |other: &Route| other.verb == route.verb && other.segments == route.segments;
            if routes.iter().take(at).any(twin) {
                errors.push(route.error("another route has the same form"));
            }
            if route.pattern().len() + 1 + MAX_PREFIX_BYTES > MAX_RESOURCE_BYTES {
                errors.push(route.error("its resource could exceed 512 characters"));
            }
        }
        let size = |route: &Route, prefix: usize| route.pattern().len() + prefix + 4;
        let too_large = || {
            RouteError(format!(
                "a policy for {} routes could exceed {MAX_POLICY_BYTES} bytes",
                routes.len()
            ))
        };
        let worst = routes.iter().map(|route| size(route, MAX_PREFIX_BYTES));
        if worst.sum::<usize>() > MAX_POLICY_BYTES {
            errors.push(too_large());
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let reaches = reaches(&routes).map_err(|error| vec![error])?;
        let with_slashes = routes
            .iter()
            .zip(&reaches)
            .enumerate()
            .map(|(at, (route, row))| {
                let size = size(route, USUAL_PREFIX_BYTES);
                let mut others = row.iter().enumerate().filter(|(other, _)| *other != at);
                let has_two = others.any(|(_, reach)| reach.slashed);
                if has_two { 2 * size + 1 } else { size }
            });
        if with_slashes.sum::<usize>() > MAX_POLICY_BYTES {
            errors.push(too_large());
        }
        let table = Self { routes, reaches };
        errors.extend(table.conflicts());
        if errors.is_empty() {
            Ok(table)
        } else {
            Err(errors)
        }
    }

    /// The routes, in the given order.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The route of a request to `path`: the most specific match, because API Gateway prefers
    /// literals to parameters and both to greedy parameters.
    #[must_use]
    pub fn route_of(&self, verb: &str, path: &str) -> Option<&Route> {
        route_of(&self.routes, verb, path)
    }

    /// One policy for the whole stage: `effects` has the effect of each route, in order.
    ///
    /// Every denied route gets an explicit Deny, unless that Deny would cover an allowed route. If an Allow covers its
    /// path with a trailing slash, it gets a second one for that spelling.
    #[must_use]
    pub fn policy(&self, arn: &MethodArn<'_>, effects: &[Effect]) -> IamPolicy {
        let prefix = arn.stage_prefix();
        let resource = |at: usize| {
            let route = self.routes.get(at)?;
            Some(format!("{prefix}/{}", route.pattern()))
        };
        let with = |wanted: Effect| {
            let mut chosen = Vec::new();
            for (at, effect) in effects.iter().enumerate() {
                if *effect == wanted {
                    chosen.push(at);
                }
            }
            chosen
        };
        let allowed = with(Effect::Allow);
        if allowed.is_empty() {
            return IamPolicy::new(Effect::Deny, format!("{prefix}/*"));
        }
        let mut denied = Vec::new();
        for at in with(Effect::Deny) {
            let covers_one = |allowed: &usize| self.reach(*allowed, at).plain;
            if !allowed.iter().any(covers_one) {
                denied.extend(resource(at));
            }
            let is_covered = |allowed: &usize| self.reach(at, *allowed).slashed;
            if allowed.iter().any(is_covered) {
                denied.extend(resource(at).map(|resource| resource + "/"));
            }
        }
        let allowed = allowed.into_iter().filter_map(resource).collect();
        IamPolicy::allow_and_deny(allowed, denied)
    }

    fn reach(&self, from: usize, pattern: usize) -> Reach {
        let row = self.reaches.get(from);
        let reach = row.and_then(|row| row.get(pattern));
        reach.copied().unwrap_or_default()
    }

    /// Routes that may need a Deny that could cover another route.
    fn conflicts(&self) -> Vec<RouteError> {
        let all = 0..self.routes.len();
        let mut errors = Vec::new();
        for (denied, route) in self.routes.iter().enumerate() {
            let covered_by = all
                .clone()
                .find(|other| *other != denied && self.reach(denied, *other).plain);
            let hits = all
                .clone()
                .find(|other| *other != denied && self.reach(*other, denied).plain);
            if let (Some(_), Some(hit)) = (covered_by, hits)
                && let Some(hit) = self.routes.get(hit)
            {
                errors.push(route.error(&format!(
                    "denying it would deny some of {} {}",
                    hit.verb, hit.template
                )));
            }
        }
        errors
    }
}

impl Route {
    fn error(&self, why: &str) -> RouteError {
        RouteError(format!("{} {}: {why}", self.verb, self.template))
    }
}

/// [`RouteTable::route_of`] for a list of routes without a table.
#[must_use]
pub fn route_of<'r>(routes: &'r [Route], verb: &str, path: &str) -> Option<&'r Route> {
    most_specific(routes, verb, &split(path))
}

fn split(path: &str) -> Vec<&str> {
    let path = path.strip_prefix('/').unwrap_or(path);
    if path.is_empty() {
        Vec::new()
    } else {
        path.split('/').collect()
    }
}

fn most_specific<'r>(routes: &'r [Route], verb: &str, path: &[&str]) -> Option<&'r Route> {
    routes
        .iter()
        .filter(|route| route.matches(verb, path))
        .min_by_key(|route| route.rank())
}

/// For each pair of routes: can a request to the first match the pattern of the second?
///
/// # Errors
/// A pair with too many paths to decide it.
fn reaches(routes: &[Route]) -> Result<Vec<Vec<Reach>>, RouteError> {
    let mut left = MAX_TRIALS;
    let mut rows = Vec::new();
    for from in routes {
        let mut trials = Trials::new(routes, from, left);
        let mut row = Vec::new();
        for to in routes {
            let too_many = || {
                let Route { verb, template, .. } = to;
                from.error(&format!(
                    "its paths overlap with {verb} {template} in too many ways"
                ))
            };
            row.push(trials.reach(to).ok_or_else(too_many)?);
        }
        left = trials.left;
        rows.push(row);
    }
    Ok(rows)
}

/// A search for paths of one route that lie within the pattern of another.
///
/// IAM's `*` covers one segment or several. Each way to put the pattern's literals on a path of the first route is
/// tried. Every other parameter has a word that is in no route: with another one, except an empty one, the path would
/// only match more routes.
struct Trials<'r> {
    from: &'r Route,
    /// The routes that API Gateway prefers where they match, too.
    preferred: Vec<&'r Route>,
    /// The most segments of a route.
    most_segments: usize,
    /// How many more steps may be tried: their number grows exponentially with the parameters of some tables.
    left: usize,
}

/// A path some of whose parameters have the words that a pattern needs.
struct Trial<'r> {
    path: Vec<&'r str>,
    /// The segments that the route matches; a trailing slash is one more.
    length: usize,
    /// From which segment on how many segments of the pattern do not fit, whatever precedes them.
    unfit: BTreeSet<(usize, usize)>,
}

/// The best result of the ways that were tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    NoPath,
    PathOfAnother,
    Path,
}

/// The word that is in no route.
const UNKNOWN: &str = "\u{1}";

impl<'r> Trials<'r> {
    fn new(routes: &'r [Route], from: &'r Route, left: usize) -> Self {
        let rank = from.rank();
        let preferred = routes
            .iter()
            .filter(|route| route.verb == from.verb && route.rank() < rank);
        let segments = routes.iter().map(|route| route.segments.len());
        Self {
            from,
            preferred: preferred.collect(),
            most_segments: segments.max().unwrap_or_default(),
            left,
        }
    }

    /// `None` if no step is left before it is decided.
    fn reach(&mut self, to: &'r Route) -> Option<Reach> {
        let from = self.from;
        let mut reach = Reach::default();
        if from.verb != to.verb {
            return Some(reach);
        }
        let shortest = from.segments.len();
        let longest = match from.segments.last() {
            // A longer path only has more segments that no literal decides on.
            Some(Segment::Greedy) => self.most_segments + to.segments.len(),
            _ => shortest,
        };
        for length in shortest..=longest {
            reach.plain = reach.plain || self.try_path(Trial::new(from, length, &[]), to)?;
            reach.slashed = reach.slashed || self.try_path(Trial::new(from, length, &[""]), to)?;
        }
        Some(reach)
    }

    fn try_path(&mut self, mut trial: Trial<'r>, to: &'r Route) -> Option<bool> {
        if to.segments.is_empty() {
            return Some(trial.path == [""]);
        }
        Some(self.place(&mut trial, &to.segments, 0)? == Found::Path)
    }

    /// Puts the rest of a pattern on the path, from the segment `start` on.
    fn place(
        &mut self,
        trial: &mut Trial<'r>,
        pattern: &'r [Segment],
        start: usize,
    ) -> Option<Found> {
        let place = (start, pattern.len());
        if trial.unfit.contains(&place) {
            return Some(Found::NoPath);
        }
        self.left = self.left.checked_sub(1)?;
        // With more literals, this route still matches.
        let path = trial.path.get(..trial.length)?;
        let mut preferred = self.preferred.iter();
        if preferred.any(|route| route.matches(&self.from.verb, path)) {
            return Some(Found::PathOfAnother);
        }
        let is_literal = |segment: &Segment| matches!(segment, Segment::Literal(_));
        let mut best = Found::NoPath;
        match pattern.split_first() {
            None if start == trial.path.len() => best = Found::Path,
            None => {}
            Some((Segment::Literal(literal), rest)) => {
                if let Some(before) = trial.put(start, literal) {
                    best = self.place(trial, rest, start + 1)?;
                    trial.set(start, before);
                }
            }
            Some(_) => {
                let stars = pattern.iter().position(is_literal).unwrap_or(pattern.len());
                let rest = pattern.get(stars..).unwrap_or_default();
                let shortest = start + stars;
                let last = (trial.path.len() + 1).saturating_sub(rest.len());
                let first = if rest.is_empty() {
                    trial.path.len().max(shortest)
                } else {
                    shortest
                };
                for next in first..last {
                    best = best.max(self.place(trial, rest, next)?);
                    if best == Found::Path {
                        break;
                    }
                }
            }
        }
        if best == Found::NoPath {
            trial.unfit.insert(place);
        }
        Some(best)
    }
}

impl<'r> Trial<'r> {
    /// A path of `length` segments, and those of `end` after them.
    fn new(from: &'r Route, length: usize, end: &[&'r str]) -> Self {
        let mut path = vec![UNKNOWN; length];
        for (word, segment) in path.iter_mut().zip(&from.segments) {
            if let Segment::Literal(literal) = segment {
                *word = literal;
            }
        }
        // The root has one segment in a resource: an empty one.
        if path.is_empty() {
            path.push("");
        }
        path.extend(end);
        let unfit = BTreeSet::new();
        Self {
            path,
            length,
            unfit,
        }
    }

    /// Returns what the segment was before, if it can be this literal.
    fn put(&mut self, at: usize, literal: &'r str) -> Option<&'r str> {
        let before = *self.path.get(at)?;
        if before != literal && before != UNKNOWN {
            return None;
        }
        self.set(at, literal);
        Some(before)
    }

    fn set(&mut self, at: usize, word: &'r str) {
        if let Some(segment) = self.path.get_mut(at) {
            *segment = word;
        }
    }
}
