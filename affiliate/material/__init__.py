"""What goes along with a link: posters, pictures and words, of the merchant and of promoters."""

from flask import Flask


def init_app(app: Flask) -> None:
    from affiliate.material import service
    from affiliate.material.views import bp

    app.extensions["logos"] = service.logo_of
    app.register_blueprint(bp)
