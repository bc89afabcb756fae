//! The methods as data: name, parameters, result, source, lifetime. Validation, introspection and the
//! table in docs/methods.md derive from it (docs/wire.md section 4).

use crate::xmlrpc::Fault;

/// What a parameter takes. The words are those of upstream's complaints (docs/wire.md section 3).
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A string.
    Text,
    /// A whole number: an int, or a double with a whole value.
    Int,
    /// A boolean, or the ints 0 and 1.
    Bool,
    /// A struct with these members and no others.
    Struct(&'static [Param]),
    /// A struct whose members of these names are strings or arrays of strings. Others are ignored.
    Terms(&'static [&'static str]),
    /// An array of strings.
    Texts,
    /// An array of anything: who uses it judges the items one by one.
    List,
    /// Any number of arguments, of any kind; the last parameter only.
    Rest,
}

impl Kind {
    /// The type in XML-RPC's words, for `system.methodSignature`.
    pub fn xmlrpc(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Int => "int",
            Self::Bool => "boolean",
            Self::Struct(_) | Self::Terms(_) => "struct",
            Self::Texts | Self::List => "array",
            Self::Rest => "undef",
        }
    }

    /// What upstream says of a value of another type. None is another to [`Kind::Rest`].
    pub fn complaint(self) -> &'static str {
        match self {
            Self::Text => "Input should be a valid string",
            Self::Int => "Input should be a valid integer",
            Self::Bool => "Input should be a valid boolean",
            Self::Struct(_) | Self::Terms(_) => "Input should be a valid dictionary",
            Self::Texts | Self::List | Self::Rest => "Input should be a valid list",
        }
    }
}

/// A parameter.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// Its name, as upstream's complaints have it.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// It must be there; an optional one may also be nil.
    pub required: bool,
}

impl Param {
    /// For people: `name`, `name?` for an optional one, a struct by its members, `…` for any number.
    pub fn words(&self) -> String {
        match self.kind {
            Kind::Struct(members) => {
                let members: Vec<String> = members.iter().map(Self::words).collect();
                format!("{{{}}}", members.join(", "))
            }
            Kind::Rest => "…".to_owned(),
            _ if self.required => self.name.to_owned(),
            _ => format!("{}?", self.name),
        }
    }
}

/// Where an answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The journal's events.
    Journal,
    /// The journal's project table.
    Projects,
    /// Upstream's JSON API, kept by the index.
    Json,
    /// JSON `ownership`, else upstream's own method.
    Ownership,
    /// Names of the project table, and what documents told of projects.
    Search,
    /// Upstream's own method, whose answers are kept.
    Upstream,
    /// Our own counts of downloads.
    Statistics,
    /// Always the same.
    Constant,
    /// The other methods.
    Calls,
    /// This table.
    Table,
}

impl Source {
    /// In words, for the page of methods.
    pub fn words(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Projects => "project table",
            Self::Json => "JSON API",
            Self::Ownership => "JSON `ownership`, else upstream",
            Self::Search => "local index",
            Self::Upstream => "upstream, kept",
            Self::Statistics => "own statistics",
            Self::Constant => "constant",
            Self::Calls => "the other methods",
            Self::Table => "the method table",
        }
    }
}

/// How long an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Until the journal's next event.
    Serial,
    /// As long as nothing is learned: it is made anew each time.
    Never,
    /// As the index's documents: until their age or an event of the project; stale while upstream is down.
    Document,
    /// Until its age; stale while upstream is limited or down.
    Relayed,
    /// As those of the methods called.
    Calls,
    /// As long as the process.
    Forever,
}

/// What runs for a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Changelog,
    ChangelogLastSerial,
    ChangelogPage,
    ChangelogSinceSerial,
    ChangedPackages,
    UpdatedReleases,
    ListPackages,
    ListPackagesPage,
    ListPackagesWithSerial,
    PackageReleases,
    ReleaseUrls,
    ReleaseData,
    PackageRoles,
    Search,
    UserPackages,
    Browse,
    ReleaseDownloads,
    TopPackages,
    PackageHostingMode,
    PostCheesecake,
    Multicall,
    ListMethods,
    MethodHelp,
    MethodSignature,
}

/// A method.
#[derive(Debug)]
pub struct Method {
    /// Its name on the wire.
    pub name: &'static str,
    /// Its parameters in order; the required ones come first.
    pub params: &'static [Param],
    /// The XML-RPC type of its result.
    pub result: &'static str,
    /// What it answers, in one sentence.
    pub help: &'static str,
    /// Where the answer comes from.
    pub source: Source,
    /// How long the answer holds.
    pub lifetime: Lifetime,
    pub(super) verb: Verb,
}

const fn required(name: &'static str, kind: Kind) -> Param {
    Param { name, kind, required: true }
}

const fn optional(name: &'static str, kind: Kind) -> Param {
    Param { name, kind, required: false }
}

const RELEASE: &[Param] = &[required("package_name", Kind::Text), required("version", Kind::Text)];
const RELEASE_URLS: &str = "The files of a release, each as a struct; empty if there is no such release.";
const RELEASE_DATA: &str = "The metadata of a release as a struct; empty if there is no such release.";

const PAGE: &[Param] = &[
    optional("since", Kind::Int),
    optional("since_serial", Kind::Int),
    optional("cursor", Kind::Text),
    optional("until", Kind::Int),
    optional("limit", Kind::Int),
    optional("name", Kind::Text),
];
const SEARCH_FIELDS: &[&str] = &[
    "name",
    "version",
    "author",
    "author_email",
    "maintainer",
    "maintainer_email",
    "home_page",
    "license",
    "summary",
    "description",
    "keywords",
    "platform",
    "download_url",
];
const PACKAGES_PAGE: &[Param] = &[optional("after", Kind::Text), optional("limit", Kind::Int)];

/// All methods, by name.
pub const METHODS: &[Method] = &[
    Method {
        name: "browse",
        params: &[required("classifiers", Kind::Texts)],
        result: "array",
        help: "Releases that have all of some classifiers, as [name, version].",
        source: Source::Upstream,
        lifetime: Lifetime::Relayed,
        verb: Verb::Browse,
    },
    Method {
        name: "changed_packages",
        params: &[required("since", Kind::Int)],
        result: "array",
        help: "The names of projects with an event at or after a Unix time, or one that became known since, each once, the last changed first.",
        source: Source::Journal,
        lifetime: Lifetime::Serial,
        verb: Verb::ChangedPackages,
    },
    Method {
        name: "changelog",
        params: &[
            required("since", Kind::Int),
            optional("with_ids", Kind::Bool),
            optional("limit", Kind::Int),
        ],
        result: "array",
        help: "All events at or after a Unix time and those that became known since, as [name, version, timestamp, action], with_ids with the serial, by time and then serial; ask again with the moment of this question. With a limit: events after the time, to ask again from the last time until none comes; a second is given whole, also past the limit.",
        source: Source::Journal,
        lifetime: Lifetime::Serial,
        verb: Verb::Changelog,
    },
    Method {
        name: "changelog_last_serial",
        params: &[],
        result: "int",
        help: "The serial of the last event.",
        source: Source::Journal,
        lifetime: Lifetime::Serial,
        verb: Verb::ChangelogLastSerial,
    },
    Method {
        name: "changelog_page",
        params: &[required("query", Kind::Struct(PAGE))],
        result: "struct",
        help: "A page of events by serial, from one of since (Unix time), since_serial and cursor on, up to the time until, of one project if name is given: {events, next_cursor, has_more, last_serial}; ask again with {cursor: next_cursor} while has_more. With a filter a page may be empty before the end.",
        source: Source::Journal,
        lifetime: Lifetime::Serial,
        verb: Verb::ChangelogPage,
    },
    Method {
        name: "changelog_since_serial",
        params: &[required("serial", Kind::Int), optional("limit", Kind::Int)],
        result: "array",
        help: "Events after a serial as [name, version, timestamp, action, serial], ascending; ask again from the last one until none comes.",
        source: Source::Journal,
        lifetime: Lifetime::Serial,
        verb: Verb::ChangelogSinceSerial,
    },
    Method {
        name: "list_packages",
        params: &[],
        result: "array",
        help: "The names of all projects, as registered.",
        source: Source::Projects,
        lifetime: Lifetime::Serial,
        verb: Verb::ListPackages,
    },
    Method {
        name: "list_packages_page",
        params: &[optional("query", Kind::Struct(PACKAGES_PAGE))],
        result: "struct",
        help: "Projects with their last serials by normalised name, from after a name on: {packages: [[name, serial]], next_after, has_more, last_serial}; ask again with {after: next_after} while has_more.",
        source: Source::Projects,
        lifetime: Lifetime::Serial,
        verb: Verb::ListPackagesPage,
    },
    Method {
        name: "list_packages_with_serial",
        params: &[],
        result: "struct",
        help: "All projects, each with the serial of its last event.",
        source: Source::Projects,
        lifetime: Lifetime::Serial,
        verb: Verb::ListPackagesWithSerial,
    },
    Method {
        name: "package_data",
        params: RELEASE,
        result: "struct",
        help: RELEASE_DATA,
        source: Source::Json,
        lifetime: Lifetime::Document,
        verb: Verb::ReleaseData,
    },
    Method {
        name: "package_hosting_mode",
        params: &[required("package_name", Kind::Text)],
        result: "string",
        help: "Where a project's files are: pypi-only, for every project.",
        source: Source::Constant,
        lifetime: Lifetime::Forever,
        verb: Verb::PackageHostingMode,
    },
    Method {
        name: "package_releases",
        params: &[required("package_name", Kind::Text), optional("show_hidden", Kind::Bool)],
        result: "array",
        help: "The latest version of a project that is not yanked, or with show_hidden all, newest first; empty if there is none.",
        source: Source::Json,
        lifetime: Lifetime::Document,
        verb: Verb::PackageReleases,
    },
    Method {
        name: "package_roles",
        params: &[required("package_name", Kind::Text)],
        result: "array",
        help: "Who owns and maintains a project, as [role, user].",
        source: Source::Ownership,
        lifetime: Lifetime::Document,
        verb: Verb::PackageRoles,
    },
    Method {
        name: "package_urls",
        params: RELEASE,
        result: "array",
        help: RELEASE_URLS,
        source: Source::Json,
        lifetime: Lifetime::Document,
        verb: Verb::ReleaseUrls,
    },
    Method {
        name: "post_cheesecake_for_release",
        params: &[optional("rest", Kind::Rest)],
        result: "boolean",
        help: "Took scores of a project that PyPI abandoned; refuses, whatever it is given.",
        source: Source::Constant,
        lifetime: Lifetime::Forever,
        verb: Verb::PostCheesecake,
    },
    Method {
        name: "release_data",
        params: RELEASE,
        result: "struct",
        help: RELEASE_DATA,
        source: Source::Json,
        lifetime: Lifetime::Document,
        verb: Verb::ReleaseData,
    },
    Method {
        name: "release_downloads",
        params: RELEASE,
        result: "array",
        help: "The files of a release, each with how often this relay gave it out, as [filename, count]; empty where nothing was counted.",
        source: Source::Statistics,
        lifetime: Lifetime::Forever,
        verb: Verb::ReleaseDownloads,
    },
    Method {
        name: "release_urls",
        params: RELEASE,
        result: "array",
        help: RELEASE_URLS,
        source: Source::Json,
        lifetime: Lifetime::Document,
        verb: Verb::ReleaseUrls,
    },
    Method {
        name: "search",
        params: &[required("spec", Kind::Terms(SEARCH_FIELDS)), optional("operator", Kind::Text)],
        result: "array",
        help: "Projects of which all fields of spec match, or with the operator \"or\" one, as {name, version, summary, _pypi_ordering}, the best first, at most 100. A field's value is a string or an array of strings, of which one has to match. If version is a field, each matching release is a hit.",
        source: Source::Search,
        lifetime: Lifetime::Never,
        verb: Verb::Search,
    },
    Method {
        name: "system.listMethods",
        params: &[],
        result: "array",
        help: "The names of all methods.",
        source: Source::Table,
        lifetime: Lifetime::Forever,
        verb: Verb::ListMethods,
    },
    Method {
        name: "system.methodHelp",
        params: &[required("name", Kind::Text)],
        result: "string",
        help: "How a method is called, and what it answers.",
        source: Source::Table,
        lifetime: Lifetime::Forever,
        verb: Verb::MethodHelp,
    },
    Method {
        name: "system.methodSignature",
        params: &[required("name", Kind::Text)],
        result: "array",
        help: "The signatures of a method, each the type of its result and those of its parameters.",
        source: Source::Table,
        lifetime: Lifetime::Forever,
        verb: Verb::MethodSignature,
    },
    Method {
        name: "system.multicall",
        params: &[required("calls", Kind::List)],
        result: "array",
        help: "Several calls in one, each as {methodName, params}; their results in order, each in an array of one, or a fault as {faultCode, faultString}.",
        source: Source::Calls,
        lifetime: Lifetime::Calls,
        verb: Verb::Multicall,
    },
    Method {
        name: "top_packages",
        params: &[optional("num", Kind::Int)],
        result: "array",
        help: "The projects whose files this relay gave out most often, as [name, downloads]; empty where nothing was counted.",
        source: Source::Statistics,
        lifetime: Lifetime::Forever,
        verb: Verb::TopPackages,
    },
    Method {
        name: "updated_releases",
        params: &[required("since", Kind::Int)],
        result: "array",
        help: "Releases made at or after a Unix time, or known since, as [name, version], each once, the newest first.",
        source: Source::Journal,
        lifetime: Lifetime::Serial,
        verb: Verb::UpdatedReleases,
    },
    Method {
        name: "user_packages",
        params: &[required("username", Kind::Text)],
        result: "array",
        help: "What a user owns and maintains, as [role, name].",
        source: Source::Upstream,
        lifetime: Lifetime::Relayed,
        verb: Verb::UserPackages,
    },
];

/// Looks a method up by its name on the wire.
pub(super) fn find(name: &str) -> Option<&'static Method> {
    METHODS.binary_search_by_key(&name, |method| method.name).ok().map(|at| &METHODS[at])
}

/// The fault for a name that is no method's.
pub(super) fn unknown(name: &str) -> Fault {
    // The longest method has 27 characters; to compare takes the product of both lengths.
    let asked: String = name.chars().take(64).flat_map(char::to_lowercase).collect();
    // By pairs of letters, in any order: `get_packages_list` is `list_packages`. Where none has one, by letters.
    let alike = |method: &Method| {
        let known = method.name.to_lowercase();
        (strsim::sorensen_dice(&known, &asked), strsim::jaro(&known, &asked))
    };
    let nearest = METHODS.iter().map(|method| (alike(method), method.name));
    let nearest = nearest.max_by(|(a, _), (b, _)| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    Fault::no_such_method(name, nearest.map(|(_, name)| name).filter(|_| !name.is_empty()))
}

#[cfg(test)]
mod tests;
