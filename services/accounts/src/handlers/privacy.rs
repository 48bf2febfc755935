//! `torchmesh.accounts.v1.PrivacyService`.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use torchmesh_api::accounts::v1::{
    self as api,
    privacy_service_server::{PrivacyService, PrivacyServiceServer},
};

use super::{
    Ground,
    call::{Call, answer},
    tell,
};
use crate::{
    access::{Act, Asker},
    error::{Refusal, Result},
    people::{self, Member},
    privacy::{self, Piece, Sink},
};

/// Pieces of a document that wait for whoever reads it.
const WAITING: usize = 4;

/// See the module.
#[derive(Debug, Clone)]
pub struct PrivacyDesk(Ground);

impl PrivacyDesk {
    /// The service.
    pub fn service(ground: Ground) -> PrivacyServiceServer<Self> {
        PrivacyServiceServer::new(Self(ground))
    }

    async fn export_tenant_asked(&self, call: Call<api::ExportTenantRequest>) -> Result<ReceiverStream<Piece>> {
        let tenant = call.asker.tenant(&self.0.store, &call.asked.tenant).await?;
        call.asker.may(Act::Export)?;
        let (mut sink, pieces) = document();
        let (store, with_events) = (self.0.store.clone(), !call.asked.without_usage_events);
        tokio::spawn(async move {
            let written = privacy::export_tenant(&store, &tenant, with_events, call.now, &mut sink).await;
            sink.end(written).await;
        });
        Ok(pieces)
    }

    async fn export_person_asked(&self, call: Call<api::ExportPersonRequest>) -> Result<ReceiverStream<Piece>> {
        let member = self.member(&call.asker, &call.asked.member).await?;
        if !call.asker.is_member(&member.id) {
            call.asker.may(Act::Export)?;
        }
        let (mut sink, pieces) = document();
        let ground = self.0.clone();
        tokio::spawn(async move {
            let written = privacy::export_person(&ground.store, &ground.outbox, &member, call.now, &mut sink).await;
            sink.end(written).await;
        });
        Ok(pieces)
    }

    async fn erase_tenant_asked(&self, call: Call<api::EraseTenantRequest>) -> Result<api::EraseTenantResponse> {
        let tenant = call.asker.tenant(&self.0.store, &call.asked.tenant).await?;
        let erased = self.0.privacy.erase_tenant(&call.asker, &tenant, call.now).await?;
        Ok(api::EraseTenantResponse { tenant: Some(tell::tenant(erased)) })
    }

    async fn erase_person_asked(&self, call: Call<api::ErasePersonRequest>) -> Result<api::ErasePersonResponse> {
        if call.asked.member.is_empty() {
            return Err(Refusal::Invalid("member: must be the id or the address of a member".to_owned()));
        }
        let member_id = self.0.privacy.erase_person(&call.asker, &call.asked.member, call.now).await?;
        Ok(api::ErasePersonResponse { member_id })
    }

    /// The member that is named; whoever asks, when nobody is.
    async fn member(&self, asker: &Asker, named: &str) -> Result<Member> {
        let named = match asker {
            Asker::Member { id, .. } if named.is_empty() => id,
            _ if named.is_empty() => return Err(Refusal::Invalid("member: must be the id or the address of a member".to_owned())),
            _ => named,
        };
        people::find_named(&self.0.store, asker, named).await
    }
}

fn document() -> (Sink, ReceiverStream<Piece>) {
    let (sender, pieces) = mpsc::channel(WAITING);
    (Sink::new(sender), ReceiverStream::new(pieces))
}

type Messages<T> = Pin<Box<dyn Stream<Item = std::result::Result<T, Status>> + Send>>;

fn streamed<T: 'static>(
    pieces: Result<ReceiverStream<Piece>>,
    message: fn(Vec<u8>) -> T,
) -> std::result::Result<Response<Messages<T>>, Status> {
    let told = move |piece: Piece| piece.map(message).map_err(Status::from);
    Ok(Response::new(Box::pin(pieces?.map(told))))
}

#[tonic::async_trait]
impl PrivacyService for PrivacyDesk {
    type ExportTenantStream = Messages<api::ExportTenantResponse>;
    type ExportPersonStream = Messages<api::ExportPersonResponse>;

    async fn export_tenant(
        &self,
        request: Request<api::ExportTenantRequest>,
    ) -> std::result::Result<Response<Self::ExportTenantStream>, Status> {
        streamed(self.export_tenant_asked(self.0.call(request).await?).await, |json| api::ExportTenantResponse { json })
    }

    async fn export_person(
        &self,
        request: Request<api::ExportPersonRequest>,
    ) -> std::result::Result<Response<Self::ExportPersonStream>, Status> {
        streamed(self.export_person_asked(self.0.call(request).await?).await, |json| api::ExportPersonResponse { json })
    }

    async fn erase_tenant(
        &self,
        request: Request<api::EraseTenantRequest>,
    ) -> std::result::Result<Response<api::EraseTenantResponse>, Status> {
        answer(self.erase_tenant_asked(self.0.call(request).await?).await)
    }

    async fn erase_person(
        &self,
        request: Request<api::ErasePersonRequest>,
    ) -> std::result::Result<Response<api::ErasePersonResponse>, Status> {
        answer(self.erase_person_asked(self.0.call(request).await?).await)
    }
}
