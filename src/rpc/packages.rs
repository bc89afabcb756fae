//! Lists of projects, and who owns them.

use super::answer::{Frame, Rows};
use super::arguments::Arguments;
use super::{Answer, Rpc, release};
use crate::journal::Project;
use crate::model::ProjectName;
use crate::xmlrpc::{Encoder, Fault, Value};

impl Rpc {
    pub(super) async fn list_packages(&self, wide: bool) -> Result<Answer, Fault> {
        self.projects_known().await?;
        let row = |encoder: &mut Encoder, project: &Project| {
            encoder.string(&project.spelling);
            Ok(())
        };
        Rows::new(self.0.journal.projects(), wide, Frame::Array, row).answer().await
    }

    pub(super) async fn list_packages_with_serial(&self, wide: bool) -> Result<Answer, Fault> {
        self.projects_known().await?;
        let row = |encoder: &mut Encoder, project: &Project| {
            encoder.open_member(&project.spelling);
            // An index that tells no serials has none that a client could compare with.
            encoder.int(project.serial.map_or(0, |serial| serial.0))?;
            encoder.close_member();
            Ok(())
        };
        Rows::new(self.0.journal.projects(), wide, Frame::Struct, row).answer().await
    }

    /// Waits until the project table is filled.
    async fn projects_known(&self) -> Result<(), Fault> {
        loop {
            match self.0.journal.projects_known() {
                Ok(()) => return Ok(()),
                Err(wanted) => wanted.done().await?,
            }
        }
    }

    pub(super) async fn package_roles(&self, arguments: &Arguments) -> Result<Value, Fault> {
        let Ok(name) = ProjectName::parse(arguments.text(0)) else { return Ok(Value::Array(vec![])) };
        let document = self.document(name.as_str(), None).await?;
        if let Some(roles) = document.and_then(|document| release::roles(&document.value)) {
            return Ok(roles);
        }
        Ok(self.0.upstream.call("package_roles", &[Value::from(name.as_str())]).await?)
    }
}
