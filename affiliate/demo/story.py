"""What the demo tells of: Subai, a quiet brand of linen and cotton, its shops and its people.

Words and numbers only. Every host, mailbox and bank account in here is made up, on names that can
belong to nobody (RFC 2606).
"""

from typing import NamedTuple

BRAND = "素白 Subai"
HOST = "subai.example"


class Listing(NamedTuple):
    """A garment as one shop sells it; `garment` names its picture in static/demo/."""

    garment: str
    title: str
    category: str
    price: int  # minor units of the shop's currency
    stock: int


class Store(NamedTuple):
    key: str
    platform: str
    name: str
    country: str
    currency: str
    tax_ppm: int | None  # inside the price; None: this shop reports no tax
    shipping: int
    locale: str
    listings: tuple[Listing, ...]

    @property
    def domain(self) -> str:
        return f"{self.key}.{HOST}"


STORES = (
    Store(
        "cn", "standard", "素白官方商城", "CN", "CNY", 130_000, 0, "zh-Hans",
        (
            Listing("linen-shirt", "水洗亚麻衬衫 · 云白", "衬衫", 32900, 214),
            Listing("cotton-tee", "有机棉圆领 T 恤 · 鼠尾草绿", "T 恤", 12900, 530),
            Listing("wide-trousers", "亚麻阔腿长裤 · 燕麦色", "裤装", 38900, 96),
            Listing("linen-dress", "亚麻吊带连衣裙 · 陶土红", "连衣裙", 45900, 61),
            Listing("cotton-cardigan", "棉线针织开衫 · 靛蓝", "针织", 29900, 148),
            Listing("canvas-tote", "厚帆布托特包 · 银杏", "包袋", 8900, 0),
        ),
    ),
    Store(
        "br", "shopify", "Subai Brasil", "BR", "BRL", None, 1990, "pt-BR",
        (
            Listing("linen-shirt", "Camisa de linho lavado · Nuvem", "Camisas", 28990, 87),
            Listing("cotton-tee", "Camiseta de algodão orgânico · Sálvia", "Camisetas", 9990, 240),
            Listing("wide-trousers", "Calça pantalona de linho · Aveia", "Calças", 32990, 54),
            Listing("linen-dress", "Vestido midi de linho · Terracota", "Vestidos", 39990, 33),
            Listing("cotton-cardigan", "Cardigã de tricô de algodão · Índigo", "Tricô", 25990, 71),
            Listing("canvas-tote", "Bolsa tote de lona · Ginkgo", "Bolsas", 7990, 160),
        ),
    ),
    Store(
        "mx", "standard", "Subai México", "MX", "MXN", 160_000, 9900, "es-MX",
        (
            Listing("linen-shirt", "Camisa de lino lavado · Nube", "Camisas", 109900, 66),
            Listing("cotton-tee", "Playera de algodón orgánico · Salvia", "Playeras", 39900, 180),
            Listing("wide-trousers", "Pantalón ancho de lino · Avena", "Pantalones", 124900, 41),
            Listing("linen-dress", "Vestido midi de lino · Terracota", "Vestidos", 149900, 28),
            Listing("cotton-cardigan", "Cárdigan tejido de algodón · Índigo", "Tejidos", 99900, 59),
            Listing("canvas-tote", "Bolsa tote de lona · Ginkgo", "Bolsas", 29900, 120),
        ),
    ),
)  # fmt: skip
SIZES = ("S", "M", "L")

# China pays the direct level only; elsewhere policy allows two more.
PROGRAM_CN = "素白推客计划"
PROGRAM_LATIN = "Amigas Subai"


class Person(NamedTuple):
    """A promoter. `joined` is a day of the story, `reach` how many visitors follow, relatively."""

    handle: str
    name: str
    country: str
    sponsor: str | None
    joined: int
    reach: int


# Sponsors stand before those they brought.
PROMOTERS = (
    Person("xunian", "许念", "CN", None, 0, 9),
    Person("guxiaoman", "顾小满", "CN", "xunian", 0, 7),
    Person("shenjianing", "沈嘉宁", "CN", "xunian", 2, 6),
    Person("fangzhixia", "方知夏", "CN", None, 1, 5),
    Person("tangyubing", "唐语冰", "CN", "guxiaoman", 5, 6),
    Person("luchen", "陆晨", "CN", "guxiaoman", 12, 3),
    Person("hetiantian", "何田田", "CN", "shenjianing", 9, 4),
    Person("chenganran", "程安然", "CN", "fangzhixia", 20, 4),
    Person("jiangyue", "江月", "CN", "tangyubing", 26, 5),
    Person("luoyiming", "罗一鸣", "CN", "tangyubing", 38, 2),
    Person("yeqinghe", "叶青禾", "CN", "hetiantian", 47, 3),
    Person("sumu", "苏木", "CN", "chenganran", 63, 1),
    Person("ana", "Ana Beatriz Moreira", "BR", None, 0, 8),
    Person("camila", "Camila Rocha", "BR", "ana", 1, 6),
    Person("rafael", "Rafael Nogueira", "BR", "ana", 6, 3),
    Person("juliana", "Juliana Prates", "BR", None, 3, 4),
    Person("larissa", "Larissa Campos", "BR", "camila", 8, 5),
    Person("thiago", "Thiago Vasconcelos", "BR", "camila", 24, 2),
    Person("bruna", "Bruna Sampaio", "BR", "rafael", 19, 3),
    Person("leticia", "Letícia Farias", "BR", "larissa", 30, 4),
    Person("pedro", "Pedro Henrique Leal", "BR", "juliana", 41, 2),
    Person("marina", "Marina Duarte", "BR", "pedro", 58, 2),
    Person("ximena", "Ximena Ortega", "MX", None, 2, 7),
    Person("valeria", "Valeria Cisneros", "MX", "ximena", 4, 5),
    Person("diego", "Diego Robles", "MX", "ximena", 11, 3),
    Person("fernanda", "Fernanda Aguilar", "MX", "valeria", 16, 4),
    Person("renata", "Renata Solís", "MX", "valeria", 29, 3),
    Person("emilio", "Emilio Paredes", "MX", "diego", 22, 3),
    Person("daniela", "Daniela Montes", "MX", "fernanda", 44, 2),
    Person("regina", "Regina Luna", "MX", "fernanda", 70, 1),
)
AGENCY = "Rede Ginkgo"
WITH_AGENCY = {"ana", "camila"}
AGENCYS_OWN = "canvas-tote"  # of which it gets what the seller leaves
SUSPENDED = ("emilio", 68)  # who was stopped, and on which day
APPLICANTS = ("jiangyue", "chenganran")  # they would like to promote overseas, too
WITHOUT_ACCOUNT = {"sumu", "bruna", "regina"}

CONTENT = {
    "CN": ("小红书笔记", "微信群", "视频号直播"),
    "BR": ("Stories do Instagram", "Grupo do WhatsApp", "Vídeo no YouTube"),
    "MX": ("TikTok", "Grupo de WhatsApp", "Reel de Instagram"),
}
REFERRERS = {
    "CN": ("https://www.xiaohongshu.com/", "", "https://channels.weixin.qq.com/"),
    "BR": ("https://l.instagram.com/", "", "https://www.youtube.com/"),
    "MX": ("https://www.tiktok.com/", "", "https://l.instagram.com/"),
}
AGENTS = {
    "CN": (
        "Mozilla/5.0 (Linux; Android 15; V2405A) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0"
        " Chrome/126.0.0.0 Mobile Safari/537.36 MicroMessenger/8.0.60 Language/zh_CN",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like"
        " Gecko) Mobile/15E148 MicroMessenger/8.0.60 Language/zh_CN",
    ),
    "BR": (
        "Mozilla/5.0 (Linux; Android 14; moto g54 5G) AppleWebKit/537.36 (KHTML, like Gecko)"
        " Chrome/138.0.0.0 Mobile Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like"
        " Gecko) Mobile/15E148 Instagram 389.0.0.34.77",
    ),
    "MX": (
        "Mozilla/5.0 (Linux; Android 14; SM-A155M) AppleWebKit/537.36 (KHTML, like Gecko)"
        " Chrome/138.0.0.0 Mobile Safari/537.36",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
        " Chrome/138.0.0.0 Safari/537.36",
    ),
}

# Who says an order is hers that nobody was credited with, and why.
CLAIMANT = "ana"
EVIDENCE = (
    "A Lívia comprou depois da minha live de domingo, mas abriu a loja por outro celular. "
    "Tenho a conversa no WhatsApp com o número do pedido."
)
# What the owner asked the simulator last.
WONDERED = {"default_rate_ppm": 120_000, "tiers_ppm": [30_000]}
# The ladder: names, and what earns each step (in minor units of yuan).
GRADES = (
    ("新芽", [[{"measure": "orders", "at_least": 3}]]),
    (
        "青叶",
        [
            [{"measure": "orders", "at_least": 12}],
            [{"measure": "sales", "at_least": 200_000, "currency": "CNY"}],
        ],
    ),
    ("金叶", [[{"measure": "team_sales", "at_least": 800_000, "currency": "CNY"},
              {"measure": "orders", "at_least": 12}]]),
)  # fmt: skip
# A garment that pays more, and a promoter's own code.
FAVOURITE = ("linen-dress", 150_000)
COUPON = ("ana", "ANA10")
