//! pip and uv.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::programs::client_program;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Installer {
    Pip,
    Uv,
}

impl Installer {
    /// The names of what it installs of a project of an index, and of nothing that this needs; `None` if it fails.
    pub async fn install(self, bin: &Path, folder: &Path, index: &str, project: &str) -> Option<Vec<String>> {
        self.install_with(&["--no-deps"], bin, folder, index, project).await
    }

    /// The same with other arguments.
    pub async fn install_with(
        self,
        arguments: &[&str],
        bin: &Path,
        folder: &Path,
        index: &str,
        project: &str,
    ) -> Option<Vec<String>> {
        self.install_trusting("", arguments, bin, folder, index, project).await
    }

    /// The same with the certificates of a file in place of the system's, if one is named.
    pub async fn install_trusting(
        self,
        authority: &str,
        arguments: &[&str],
        bin: &Path,
        folder: &Path,
        index: &str,
        project: &str,
    ) -> Option<Vec<String>> {
        let digest = hex::encode(&Sha256::digest(format!("{index}{project}"))[..8]);
        let target = folder.join(format!("{self:?}-{digest}"));
        let mut command = match self {
            Self::Pip => {
                let mut pip = client_program(bin.join("python"));
                pip.args(["-m", "pip", "install", "--no-cache-dir", "--retries", "0"]);
                pip
            }
            Self::Uv => {
                let mut uv = client_program(bin.join("uv"));
                uv.args(["pip", "install", "--no-cache", "--no-config", "--python"]).arg(bin.join("python"));
                uv
            }
        };
        if !authority.is_empty() {
            command.env("SSL_CERT_FILE", authority);
        }
        command.args(arguments).args(["--index-url", index, "--target"]).arg(&target).arg(project);
        let output = command.output().await.unwrap();
        if !output.status.success() {
            println!("{self:?} {index}{project}: {}", String::from_utf8_lossy(&output.stderr));
            return None;
        }
        let entries = std::fs::read_dir(&target).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
        names.retain(|name| name.ends_with(".dist-info"));
        names.sort();
        Some(names)
    }
}
