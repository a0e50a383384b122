from django.urls import include, path
from rest_framework import permissions, routers, serializers, viewsets

from tests.libraries.models import Exhibit


class ExhibitSerializer(serializers.ModelSerializer):
    class Meta:
        model = Exhibit
        fields = ("image", "poster", "paper")
        extra_kwargs = {name: {"allow_null": True} for name in fields}


class Exhibits(viewsets.ModelViewSet):
    queryset = Exhibit.objects.all()
    serializer_class = ExhibitSerializer
    permission_classes = (permissions.IsAdminUser,)


router = routers.SimpleRouter()
router.register("exhibits", Exhibits)

urlpatterns = [path("api/", include(router.urls)), path("", include("b2fields.urls"))]
