"""Images that stay on disk, from the order of what is made of them."""

from pathlib import Path

from emlc.data import open_dataset
from emlc.data.listing import Listing
from emlc.data.on_disk import OnDisk
from emlc.data.prepared import IMAGES
from emlc.data.streaming.photographs import Photographs, photographs
from emlc.data.streaming.preprocessing import preprocessing
from emlc.records.store import Order
from pipelines.profile.places import ROOT


def on_disk(order: Order, listing: Listing, folder: Path) -> Photographs:
    """Return the images that an order is about.

    Parameters
    ----------
    order : Order
        Of a run or a pretraining: its identity says how images are read, what it is about where they lie.
    listing : Listing
    folder : Path
        Where the listing lies; the images of an archive lie beside it.
    """
    way, about = order.identity["preprocessing"], order.about["images"]
    dataset: OnDisk = open_dataset(order.about["dataset"], {"kind": about["kind"], "source": about["source"]})
    unpacked = folder / IMAGES
    roots = (unpacked if unpacked.is_dir() else ROOT / about["source"],)
    read = preprocessing(**way).read
    return photographs(listing, lambda keys: dataset.images(roots, keys), read, way["side"], about["workers"])
