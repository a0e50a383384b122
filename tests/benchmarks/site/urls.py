import gc
import resource

from django.http import HttpRequest, JsonResponse
from django.urls import include, path

from ..worker import MEMORY_IS_TOLD, PROCESS, status
from . import floor


def usage(request: HttpRequest) -> JsonResponse:
    """Tell the processor time of this process, its resident memory, and the most since this was last asked.

    Memory is 0 where the system does not tell.
    """
    taken = resource.getrusage(resource.RUSAGE_SELF)
    gc.collect()
    resident, peak = (status(key) / 1024 if MEMORY_IS_TOLD else 0 for key in ("VmRSS", "VmHWM"))
    if MEMORY_IS_TOLD:
        PROCESS.joinpath("clear_refs").write_text("5")
    return JsonResponse(
        {
            "processor_seconds": taken.ru_utime + taken.ru_stime,
            "resident_mebibytes": resident,
            "peak_mebibytes": peak,
        }
    )


urlpatterns = [
    path("usage", usage),
    path("floor/wsgi/<path:name>", floor.wsgi),
    path("floor/asgi/<path:name>", floor.asgi),
    path("checked/wsgi/<path:name>", floor.checked_wsgi),
    path("checked/asgi/<path:name>", floor.checked_asgi),
    path("peer/", include("django_backblaze_b2.urls")),
    path("", include("b2fields.urls")),
]
