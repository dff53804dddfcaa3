//! Uploads with other people's clients, each at the setting that its name says.

use std::{error::Error, fs, path::PathBuf, sync::Arc};

use aws_sdk_s3::config::{Credentials, Region};
use aws_sdk_s3_transfer_manager::{
    Client, Config, S3ClientConfig,
    io::InputStream,
    memory::{BufferPool, MemoryBudgetConfig, MemoryConfig},
    operation::upload::ChecksumStrategy,
    types::{ConcurrencyMode, PartSize},
};
use clap::{Parser, ValueEnum};
use futures::{
    future::try_join_all,
    stream::{self, StreamExt as _, TryStreamExt as _},
};
use object_store::{
    Certificate, ClientOptions, MultipartUpload as _, ObjectStoreExt as _,
    aws::{AmazonS3, AmazonS3Builder, Checksum},
    path::Path,
};

type Failed = Box<dyn Error + Send + Sync>;

/// Size of a part, the same for every client.
const PART: usize = 8 << 20;

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Which {
    TransferManager,
    ObjectStore,
}

#[derive(Debug, Parser)]
struct Args {
    which: Which,
    /// Endpoint of a region; one each
    #[arg(long = "endpoint", required = true)]
    endpoints: Vec<String>,
    /// The file, or the folder whose files are objects of their own
    #[arg(long)]
    path: PathBuf,
    /// Files of a folder that are under way at once
    #[arg(long, default_value_t = 16)]
    files: usize,
    /// Parts in flight; what the client thinks best if left out
    #[arg(long)]
    concurrency: Option<usize>,
    /// Most memory for parts, in MiB; what the client thinks best if left out
    #[arg(long)]
    memory: Option<usize>,
}

/// What is uploaded, under its key.
type Job = (PathBuf, String);

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let args = Args::parse();
    let jobs = jobs(&args.path)?;
    match args.which {
        Which::TransferManager => {
            let clients = args.endpoints.iter().map(|endpoint| manager(endpoint, &args));
            let clients = clients.collect::<Result<Vec<_>, _>>()?;
            try_join_all(clients.iter().map(|client| managed(client, &jobs, args.files))).await?;
        }
        Which::ObjectStore => {
            let stores = args.endpoints.iter().map(|endpoint| store(endpoint));
            let stores = stores.collect::<Result<Vec<_>, _>>()?;
            try_join_all(stores.iter().map(|store| stored(store, &jobs, args.files, args.concurrency.unwrap_or(4)))).await?;
        }
    }
    Ok(())
}

fn jobs(path: &std::path::Path) -> Result<Vec<Job>, Failed> {
    if path.is_file() {
        return Ok(vec![(path.to_owned(), "object".to_owned())]);
    }
    let mut jobs = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        jobs.push((entry.path(), entry.file_name().to_string_lossy().into_owned()));
    }
    jobs.sort();
    Ok(jobs)
}

fn manager(endpoint: &str, args: &Args) -> Result<Client, Failed> {
    let s3 = aws_sdk_s3::Config::builder()
        .behavior_version_latest()
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("bench", "bench", None, None, "bench"))
        .endpoint_url(endpoint)
        .force_path_style(true);
    let config = Config::builder().s3_config(S3ClientConfig::new(s3)).part_size(PartSize::Target(PART as u64));
    let config = match args.concurrency {
        Some(parts) => config.concurrency(ConcurrencyMode::Explicit(parts)),
        None => config,
    };
    let config = match args.memory {
        Some(mib) => {
            let pool = BufferPool::builder().memory_budget(MemoryBudgetConfig::Limit(mib << 20)).build()?;
            config.memory(MemoryConfig::Explicit(pool))
        }
        None => config,
    };
    Ok(Client::new(config.build()))
}

async fn managed(client: &Client, jobs: &[Job], files: usize) -> Result<(), Failed> {
    let uploads = stream::iter(jobs).map(|(path, key)| async move {
        let upload = client
            .upload()
            .bucket("bench")
            .key(key)
            .checksum_strategy(ChecksumStrategy::with_calculated_crc64_nvme())
            .body(InputStream::from_path(path)?);
        upload.initiate()?.join().await?;
        Ok::<_, Failed>(())
    });
    uploads.buffer_unordered(files).try_collect().await
}

fn store(endpoint: &str) -> Result<Arc<AmazonS3>, Failed> {
    let mut options = ClientOptions::new().with_allow_http(true);
    if let Some(file) = std::env::var_os("SSL_CERT_FILE") {
        options = options.with_root_certificate(Certificate::from_pem(&fs::read(file)?)?);
    }
    let store = AmazonS3Builder::new()
        .with_endpoint(endpoint)
        .with_bucket_name("bench")
        .with_region("us-east-1")
        .with_access_key_id("bench")
        .with_secret_access_key("bench")
        .with_client_options(options)
        .with_unsigned_payload(true)
        .with_checksum_algorithm(Checksum::CRC64NVME)
        .build()?;
    Ok(Arc::new(store))
}

async fn stored(store: &AmazonS3, jobs: &[Job], files: usize, parts: usize) -> Result<(), Failed> {
    let uploads = stream::iter(jobs).map(|(file, key)| async move {
        let key = Path::from(key.as_str());
        if fs::metadata(file)?.len() <= PART as u64 {
            store.put(&key, fs::read(file)?.into()).await?;
            return Ok::<_, Failed>(());
        }
        let file = Arc::new(fs::File::open(file)?);
        let size = file.metadata()?.len();
        let mut upload = store.put_multipart(&key).await?;
        let puts: Vec<u64> = (0..size).step_by(PART).collect();
        // A part is read when its turn comes, so that no more than those in flight are held.
        let mut puts = puts.into_iter();
        let mut flying = futures::stream::FuturesUnordered::new();
        loop {
            while flying.len() < parts {
                let Some(from) = puts.next() else { break };
                let mut bytes = vec![0; PART.min(usize::try_from(size - from)?)];
                std::os::unix::fs::FileExt::read_exact_at(&*file, &mut bytes, from)?;
                flying.push(upload.put_part(bytes.into()));
            }
            if flying.next().await.transpose()?.is_none() {
                break;
            }
        }
        upload.complete().await?;
        Ok(())
    });
    uploads.buffer_unordered(files).try_collect().await
}
