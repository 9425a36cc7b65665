"""What goes along with a link: posters, pictures and words, of the merchant and of promoters."""

from flask import Flask


def init_app(app: Flask) -> None:
    from affiliate.material.views import bp

    app.register_blueprint(bp)
