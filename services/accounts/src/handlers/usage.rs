//! `torchmesh.usage.v1.UsageService` and `torchmesh.accounts.v1.UsageQueryService`.

use tonic::{Request, Response, Status};
use torchmesh_api::{
    accounts::v1::{
        SumUsageRequest, SumUsageResponse,
        usage_query_service_server::{UsageQueryService, UsageQueryServiceServer},
    },
    usage::v1::{
        RecordRequest, RecordResponse,
        usage_service_server::{UsageService, UsageServiceServer},
    },
};

use super::{Ground, read, tell};
use crate::{
    access::{Act, Asker},
    clock::now_ms,
    error::{Refusal, Result},
    page::Page,
    usage::{self, Question},
};

/// The most events of one call.
const AT_ONCE: usize = 1000;
/// The most sums of one page.
const MOST_SUMS: i64 = 10_000;

/// Takes events in.
#[derive(Debug, Clone)]
pub struct UsageRecorder(Ground);

impl UsageRecorder {
    /// The service.
    pub fn service(ground: Ground) -> UsageServiceServer<Self> {
        UsageServiceServer::new(Self(ground))
    }
}

#[tonic::async_trait]
impl UsageService for UsageRecorder {
    async fn record(&self, request: Request<RecordRequest>) -> std::result::Result<Response<RecordResponse>, Status> {
        self.0.access.is_gateway(request.metadata())?;
        let events = request.into_inner().events;
        if events.len() > AT_ONCE {
            return Err(Refusal::Invalid(format!("events: must be at most {AT_ONCE}, not {}", events.len())).into());
        }
        usage::record(&self.0.store, &events).await?;
        Ok(Response::new(RecordResponse {}))
    }
}

/// Answers what was used.
#[derive(Debug, Clone)]
pub struct UsageQueries(Ground);

impl UsageQueries {
    /// The service.
    pub fn service(ground: Ground) -> UsageQueryServiceServer<Self> {
        UsageQueryServiceServer::new(Self(ground))
    }

    async fn sums(&self, request: Request<SumUsageRequest>) -> Result<SumUsageResponse> {
        let asker = self.0.access.asker(request.metadata(), now_ms()).await?;
        asker.may(Act::Look)?;
        let asked = request.into_inner();
        let all = asker == Asker::Operator && asked.tenant.is_empty();
        let tenant = if all { String::new() } else { asker.tenant(&self.0.store, &asked.tenant).await?.name };
        let question = Question {
            only: [tenant, asked.credential, asked.model],
            from_ms: asked.from_unix_ms,
            to_ms: asked.to_unix_ms,
            by: asked.by.into_iter().map(read::by).collect::<Result<_>>()?,
        };
        let page = Page::up_to(MOST_SUMS, asked.page_size, &asked.page_token)?;
        let (sums, next_page_token) = usage::sum(&self.0.store, &question, &page).await?;
        Ok(SumUsageResponse { sums: sums.into_iter().map(tell::sum).collect(), next_page_token })
    }
}

#[tonic::async_trait]
impl UsageQueryService for UsageQueries {
    async fn sum_usage(&self, request: Request<SumUsageRequest>) -> std::result::Result<Response<SumUsageResponse>, Status> {
        self.sums(request).await.map(Response::new).map_err(Into::into)
    }
}
