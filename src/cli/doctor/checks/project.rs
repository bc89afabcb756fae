//! What one project's page, document and files are like.

use std::time::Duration;

use url::Url;

use super::{Doctor, Telling, limited};
use crate::cli::doctor::finding::Grade::{self, Good, Less, MadeUpFor, Unfit};
use crate::model::{Algorithm, Digest, ProjectName};
use crate::upstream::{CoreMetadata, PageFile, Probed, ProjectPage, Target, strongest};

const JSON: &str = "application/vnd.pypi.simple.v1+json";

/// The file that is looked at.
struct File {
    url: Url,
    /// Whether its page advertises metadata.
    metadata: bool,
}

impl Doctor<'_> {
    pub(super) async fn project(&mut self, name: &ProjectName) {
        let page = self.page(name).await;
        self.document(name).await;
        let Some(page) = page else { return };
        let advertised = |file: &&PageFile| file.core_metadata != CoreMetadata::No;
        let Some(file) = page.files.iter().find(advertised).or_else(|| page.files.first()) else {
            let (grade, relay) = if self.is_index {
                (MadeUpFor, "try another --project NAME")
            } else {
                // Web sites say 200 to every address.
                let grade = if matches!(self.telling, Telling::Nothing) { Unfit } else { Less };
                (grade, "nothing here shows a package index; try another --project NAME")
            };
            return self.say("files", grade, "the page names none", None, relay);
        };
        self.is_index = true;
        self.digests(&page.files);
        self.file(&File { url: file.url.clone(), metadata: advertised(&file) }).await;
    }

    /// The project's page, if its beginning can be read as one.
    async fn page(&mut self, name: &ProjectName) -> Option<ProjectPage> {
        const CHECK: &str = "project page";
        let page = match self.upstream.probe(Target::Page(name)).await {
            Ok(page) => page,
            Err(error) => {
                self.say(CHECK, Unfit, error.to_string(), None, "kept pages are served");
                return None;
            }
        };
        let found = format!("{name}: {} {}", page.status, page.content_type);
        let found = found.trim_end();
        let read = || ProjectPage::read(name, &page.content_type, &page.body, &page.url, usize::MAX);
        let read = (page.status == 200).then(read);
        let (grade, relay) = match (&read, page.status) {
            (Some(Err(wrong)), _) if page.whole => (Unfit, format!("it cannot be read: {wrong}")),
            (Some(_), _) if page.content_type == JSON => (Good, "served as JSON and HTML".to_owned()),
            (Some(_), _) => (MadeUpFor, "it is read, and served as JSON and HTML".to_owned()),
            (None, 404 | 410) => {
                let relay = "clients are told that there is no such project; name another with --project";
                (if self.is_index { Less } else { Unfit }, relay.to_owned())
            }
            (None, 429) => (Less, limited(&page)),
            (None, _) => (Unfit, "kept pages are served".to_owned()),
        };
        let (grade, relay) = Self::in_time(&page, "index.deadline", self.config.index.deadline, grade, relay);
        self.say(CHECK, grade, found, Some(&page), relay);
        match read? {
            Ok(page) => Some(page),
            // It is longer than what was read of it.
            Err(_) if !page.whole => {
                self.say(
                    "files",
                    MadeUpFor,
                    "the page is too long to look at",
                    None,
                    "try another --project NAME",
                );
                None
            }
            Err(_) => None,
        }
    }

    async fn document(&mut self, name: &ProjectName) {
        const CHECK: &str = "JSON API";
        const ELSE: &str = "kept documents are served; without one, removed methods (release_data, release_urls …) get a fault";
        match self.upstream.probe(Target::Json(name)).await {
            Ok(document) => {
                let is_document = document.body.trim_ascii_start().starts_with(b"{");
                let (grade, relay) = match document.status {
                    200 if is_document => {
                        (Good, "removed methods (release_data, release_urls …) are answered from it")
                    }
                    404 | 410 => {
                        (MadeUpFor, "removed methods are answered from pages and from files' metadata")
                    }
                    _ => (Less, ELSE),
                };
                let found = format!("{} {}", document.status, document.content_type);
                let (key, deadline) = ("rpc.deadline", self.config.rpc.deadline);
                let (grade, relay) = Self::in_time(&document, key, deadline, grade, relay.to_owned());
                self.say(CHECK, grade, found.trim_end(), Some(&document), relay);
            }
            Err(error) => self.say(CHECK, Less, error.to_string(), None, ELSE),
        }
    }

    /// The same, or less if clients are told to come back before the answer has begun.
    fn in_time(
        probed: &Probed,
        key: &str,
        deadline: Duration,
        grade: Grade,
        relay: String,
    ) -> (Grade, String) {
        if probed.took <= deadline {
            return (grade, relay);
        }
        let late = format!(
            "{relay}; it takes longer than {key}: clients are told to come back, and then it is there"
        );
        (grade.max(Less), late)
    }

    /// Of the files that a page names.
    fn digests(&mut self, files: &[PageFile]) {
        let refused = files.iter().filter(|file| file.unmatchable).count();
        let stated: Vec<_> = files.iter().map(|file| strongest(&file.hashes)).collect();
        let without = stated.iter().filter(|digest| digest.is_none()).count().saturating_sub(refused);
        let weakest = stated.iter().flatten().map(Digest::algorithm).min();
        let (grade, found, relay) = match weakest {
            _ if refused > 0 => {
                let found = format!("of {refused} of {} files none can be one", files.len());
                (Less, found, "no bytes match them: such files are refused")
            }
            _ if without > 0 => {
                let found = format!("missing for {without} of {} files", files.len());
                (Less, found, "such files are passed through, unchecked and not kept")
            }
            Some(weakest) if weakest < Algorithm::WEAKEST_TRUSTED => {
                (MadeUpFor, weakest.name().to_owned(), "files are checked by it and kept; it is a weak one")
            }
            Some(_) | None => (Good, "given".to_owned(), "files are checked and kept"),
        };
        self.say("digests of files", grade, found, None, relay);
    }

    async fn file(&mut self, file: &File) {
        self.metadata(file).await;
        match self.upstream.probe(Target::FirstByte(&file.url)).await {
            Ok(range) => {
                let (grade, relay) = match range.status {
                    206 => (Good, "a broken transfer resumes".to_owned()),
                    200 => (MadeUpFor, "a broken transfer starts again".to_owned()),
                    404 | 410 => {
                        (Less, "clients are told that this file is gone; try another --project".to_owned())
                    }
                    429 => (Less, limited(&range)),
                    _ => (Unfit, "files cannot be fetched; kept ones are served".to_owned()),
                };
                self.say("ranges", grade, range.status.to_string(), Some(&range), relay);
            }
            Err(error) => self.say("ranges", Unfit, error.to_string(), None, "kept files are served"),
        }
    }

    async fn metadata(&mut self, file: &File) {
        const CHECK: &str = "metadata";
        const ELSE: &str = "installers fetch whole files to read it";
        let url = format!("{}.metadata", file.url).parse::<Url>().ok().filter(|_| file.metadata);
        let Some(url) = url else {
            return self.say(CHECK, MadeUpFor, "not advertised", None, ELSE);
        };
        match self.upstream.probe(Target::Metadata(&url)).await {
            Ok(metadata) => {
                let there = metadata.status == 200;
                let relay = if there { "served where it is advertised, its digest checked" } else { ELSE };
                let grade = Grade::good_or(there, MadeUpFor);
                self.say(CHECK, grade, metadata.status.to_string(), Some(&metadata), relay);
            }
            Err(error) => self.say(CHECK, MadeUpFor, error.to_string(), None, ELSE),
        }
    }
}
