//! What both methods do: decode every image on the decoding threads, and run all of them as one request.

use std::time::Instant;

use bytes::Bytes;
use futures_util::future::try_join_all;
use torchmesh_api::{error::ApiError, usage::Figures};

use super::{VisionCall, invalid};
use crate::{
    admission::{Answered, Part},
    image::{ImageSettings, Placement, decode, prepare},
    tensor::{Datatype, Tensor},
};

/// An image that the model has seen.
pub(super) struct Seen {
    /// Where it lay in the model's input.
    pub(super) placed: Placement,
    /// What the model answered, each output with one row.
    pub(super) outputs: Vec<Tensor>,
}

impl VisionCall<'_> {
    /// Shows the model all images, in their order.
    pub(super) async fn look(&self, images: Vec<Bytes>, settings: &ImageSettings) -> Result<Vec<Seen>, ApiError> {
        let files: usize = images.iter().map(Bytes::len).sum();
        let admission = self.front.decoders.admit(files + images.len() * settings.elements() * 4)?;
        let jobs = images.into_iter().enumerate().map(|(at, file)| {
            let (settings, seconds) = (settings.clone(), self.model.metrics.decode_seconds.clone());
            self.front.decoders.run(&admission, move || {
                let began = Instant::now();
                let picture = decode(&file, settings.limits, settings.upright).map_err(|error| invalid(format!("images[{at}] {error}")))?;
                let prepared = prepare(&picture, &settings);
                seconds.observe(began.elapsed().as_secs_f64());
                Ok(prepared)
            })
        });
        let (pixels, placed): (Vec<Bytes>, Vec<Placement>) = try_join_all(jobs).await?.into_iter().unzip();
        let parts = pixels.into_iter().map(|data| part(data, settings)).collect();
        let pending = self.serving.queue.push(self.info.clone().submission(parts))?;
        // The queue counts them from here on.
        drop(admission);
        let answered = pending.await?;
        self.spending.add(answered.spent);
        self.spending.count(Figures { items: placed.len() as u64, ..Figures::default() });
        Ok(placed.into_iter().zip(answered).map(|(placed, Answered { outputs, .. })| Seen { placed, outputs }).collect())
    }
}

fn part(data: Bytes, settings: &ImageSettings) -> Part {
    let shape = [1].into_iter().chain(settings.dims()).collect();
    Part { rows: 1, length: 1, shape: Box::default(), inputs: vec![Tensor { datatype: Datatype::Fp32, shape, data }], attribution: None }
}
