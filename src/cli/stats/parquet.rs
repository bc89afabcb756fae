//! Rows as a Parquet file, for programs that analyse tables.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, GzipLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::error::StatsCommandError;
use crate::stats::{Day, ExportRow, Stats, StatsError};

/// The columns, as in the other forms.
const SCHEMA: &str = "message downloads {
    REQUIRED INT32 day (DATE);
    REQUIRED BYTE_ARRAY project (UTF8);
    REQUIRED BYTE_ARRAY version (UTF8);
    REQUIRED BYTE_ARRAY filename (UTF8);
    REQUIRED BYTE_ARRAY agent (UTF8);
    REQUIRED INT64 count;
    REQUIRED BYTE_ARRAY installer (UTF8);
    REQUIRED BYTE_ARRAY installer_version (UTF8);
    REQUIRED BYTE_ARRAY python (UTF8);
    REQUIRED BYTE_ARRAY system (UTF8);
}";
/// Rows that are in memory at once: some 20 MB.
const GROUP: usize = 50_000;

/// Writes the rows between two days to a file, which appears whole or not at all.
pub(super) fn write(stats: &Stats, (first, last): (Day, Day), path: &Path) -> Result<(), StatsCommandError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = tempfile::NamedTempFile::new_in(folder)?;
    let properties = WriterProperties::builder().set_compression(Compression::GZIP(GzipLevel::default()));
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let mut writer = SerializedFileWriter::new(file.reopen()?, schema, Arc::new(properties.build()))?;
    let mut rows = Vec::new();
    let written = stats.export_rows(first, last, |row| {
        rows.push(row);
        if rows.len() < GROUP {
            return Ok(());
        }
        group(&mut writer, &std::mem::take(&mut rows)).map_err(std::io::Error::other)
    });
    match written {
        Err(StatsError::Output(error)) => return Err(std::io::Error::other(error).into()),
        written => written?,
    }
    if !rows.is_empty() {
        group(&mut writer, &rows)?;
    }
    writer.close()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn group(writer: &mut SerializedFileWriter<File>, rows: &[ExportRow]) -> Result<(), ParquetError> {
    let mut group = writer.next_row_group()?;
    let mut column = 0;
    while let Some(mut place) = group.next_column()? {
        let texts = |of: fn(&ExportRow) -> &str| -> Vec<ByteArray> {
            rows.iter().map(|row| ByteArray::from(of(row))).collect()
        };
        let values = match column {
            0 => {
                let days = rows.iter().map(|row| i32::try_from(row.day.number()).unwrap_or(i32::MAX));
                place.typed::<Int32Type>().write_batch(&days.collect::<Vec<_>>(), None, None)?;
                None
            }
            5 => {
                let counts = rows.iter().map(|row| i64::try_from(row.count).unwrap_or(i64::MAX));
                place.typed::<Int64Type>().write_batch(&counts.collect::<Vec<_>>(), None, None)?;
                None
            }
            1 => Some(texts(|row| &row.project)),
            2 => Some(texts(|row| &row.version)),
            3 => Some(texts(|row| &row.filename)),
            4 => Some(texts(|row| &row.agent)),
            6 => Some(texts(|row| &row.installer)),
            7 => Some(texts(|row| &row.installer_version)),
            8 => Some(texts(|row| &row.python)),
            _ => Some(texts(|row| &row.system)),
        };
        if let Some(values) = values {
            place.typed::<ByteArrayType>().write_batch(&values, None, None)?;
        }
        place.close()?;
        column += 1;
    }
    group.close()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    use parquet::record::{Field, RowAccessor as _};

    use super::*;
    use crate::model::ProjectName;
    use crate::stats::{File as Downloaded, StatsSettings};

    /// As pip says it of itself.
    const PIP: &str = r#"pip/25.0 {"installer":{"name":"pip","version":"25.0"},"python":"3.13.1","system":{"name":"Linux"}}"#;

    #[tokio::test]
    async fn what_is_written_is_read_back_column_by_column() {
        let folder = tempfile::tempdir().unwrap();
        let spell = Arc::new(|_| Box::pin(async { None }) as _);
        let stats = Stats::open(folder.path(), StatsSettings::default(), spell).await.unwrap();
        for (project, filename, version, agent, times) in [
            ("one", "one-1.0.zip", "1.0", PIP, 3),
            ("two", "two-2-py3-none-any.whl", "2", "a \u{e9} \" , agent", 1),
        ] {
            let project = ProjectName::parse(project).unwrap();
            let file = Arc::new(Downloaded { project, filename: filename.into(), version: version.into() });
            let agent = stats.agent(agent.as_bytes());
            (0..times).for_each(|_| stats.whole(0, &file, &agent));
        }
        stats.flush().await.unwrap();
        let (all, mut expected) = ((Day::of(0), Day::of(i64::MAX)), Vec::new());
        let told = stats.export_rows(all.0, all.1, |row| {
            expected.push(row);
            Ok(())
        });
        told.unwrap();
        assert_eq!(expected.iter().map(|row| row.count).sum::<u64>(), 4);
        assert!(
            expected.iter().any(|row| row.installer == "pip" && row.python == "3.13.1"),
            "{}",
            expected.len()
        );

        let path = folder.path().join("downloads.parquet");
        write(&stats, all, &path).unwrap();
        let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        assert_eq!(rows.len(), expected.len());
        for (row, expected) in rows.iter().zip(&expected) {
            let texts: Vec<_> =
                [1, 2, 3, 4, 6, 7, 8, 9].map(|column| row.get_string(column).unwrap().as_str()).into();
            let ExportRow {
                project,
                version,
                filename,
                agent,
                installer,
                installer_version,
                python,
                system,
                ..
            } = expected;
            assert_eq!(
                texts,
                [project, version, filename, agent, installer, installer_version, python, system]
            );
            let Some((_, Field::Date(day))) = row.get_column_iter().next() else { panic!("{row}") };
            assert_eq!(i64::from(*day), expected.day.number());
            assert_eq!(u64::try_from(row.get_long(5).unwrap()).unwrap(), expected.count);
        }
    }
}
