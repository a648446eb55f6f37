# SPDX-License-Identifier: GPL-3.0-or-later
"""The words that names of parts are told by: English, Spanish, Portuguese, French, German, Italian, Russian, Japanese,
Chinese, Korean, Polish, and the abbreviations of avatar makers.

Words stand in lines by what they say and how strongly. Shoes (.95) beat a dress (.9): "Dress_Shoes" are shoes; a shirt
beats an arm (.4). Words are without accents, in small letters, in the singular where English plurals end in s.
"""

from __future__ import annotations

Said = tuple[str, float]

# fmt: off
_LATIN: tuple[tuple[str, float, str], ...] = (
    # English; footwear, armour, things
    ("body", 0.95, """
        shoe footwear boot sneaker sandal slipper heel loafer pump trainer shs moccasin clog flipflop handwear glove
        gauntlet mitten bracer greave vambrace pauldron shoulderpad kneepad elbowpad breastplate chestplate cuirass
        armor armour chainmail shield helmet helm visor headwear headgear headphone headset headdress headband
        hairbrush goggles glasses sunglass sunglasses eyewear eyeglass eyeglasses spectacles monocle earring
        necklace bracelet ring watch jewelry jewellery jewel pendant brooch buckle belt holster pouch quiver
        backpack bag purse satchel sword longsword shortsword dagger crossbow spear lance hammer mace club torch
        book spellbook mug bottle instrument guitar knife axe staff wand gun pistol rifle weapon buffalo hanger rack
        jetpack suspender earphone piercing crown tiara shoelace facemask gasmask turban gaiter hauberk brigandine
        tasset epaulette armband wristband
    """),
    ("body", 0.6, """
        skin hat cap beanie beret mask horn antler wing tail claw hoof paw fin tentacle nail toenail fingernail
        robot gear wheel landscape terrain accessory prop bow
    """),
    ("body", 0.9, "undercoat clearcoat topcoat"),
    ("body", 0.75, "hooded"),
    ("body", 0.4, """
        body torso arm leg hand foot feet neck chest finger toe forearm thigh shin hip trunk bust naked nude
    """),
    # English; the face
    ("face", 0.9, """
        face eye eyeball eyelid eyelash eyebrow eyeshadow eyeliner brow lash lip teeth tooth tongue mouth iris
        irises pupil cornea sclera caruncle tearline tearduct gum dentures nose nostril
    """),
    ("face", 0.7, "head ear tear jaw cheek chin forehead lacrimal facial"),
    # English; hair
    ("hair", 0.92, """
        hair haircut hairstyle hairdo beard mustache moustache goatee sideburn stubble ponytail pigtail twintail
        braid plait bangs bun wig dreadlock dread dreads afro mohawk ahoge whisker mane curl updo topknot hairline
        hairclip pixiecut bobcut mullet quiff
    """),
    ("hair", 0.85, "fur groom furry fringe franja frange frangia"),
    ("hair", 0.6, "scalp strand tuft"),
    # English; what is worn
    ("garment", 0.9, """
        dress gown ballgown sundress nightgown skirt miniskirt underskirt petticoat tutu crinoline shirt tshirt tee
        undershirt sweatshirt nightshirt blouse tanktop croptop tubetop halter camisole corset bodice sweater jumper
        pullover cardigan hoodie jacket blazer coat trenchcoat overcoat raincoat labcoat tailcoat waistcoat surcoat
        peacoat parka anorak vest gilet bolero cloak mantle cape capelet robe bathrobe housecoat tunic tabard
        loincloth kilt sarong pant trouser jeans slacks chinos sweatpant cargopant legging jegging shorts bermudas
        overalls dungarees romper jumpsuit playsuit bodysuit swimsuit bathingsuit tracksuit catsuit leotard unitard
        onesie bikini bra brassiere underwear undergarment panties panty lingerie boxers briefs thong nightie pajama
        pyjama sock stocking tights pantyhose scarf muffler tie necktie bowtie cravat ascot sash sleeve veil shawl
        poncho kimono yukata haori hakama hanbok qipao hanfu sari saree cheongsam toga kaftan caftan abaya burqa
        hijab niqab cassock habit uniform apron pinafore onepiece twopiece garment clothes clothing apparel attire
        btm jersey smock frock jerkin doublet gambeson skort culottes bloomers knickers breeches chaps negligee
        chemise obi happi dirndl lederhosen sarafan dashiki headscarf kerchief turtleneck crewneck poloneck polo
    """),
    ("garment", 0.8, "suit tuxedo hood cowl lapel frill ruffle drape costume tops bottoms cuff"),
    ("garment", 0.72, "cloth outfit ribbon collar denim fabric textile streamer pocket hem veste"),
    ("garment", 0.6, """
        top bottom pull manche stole bandana banner wrap slip strap knit cotton linen silk satin velvet wool tulle
        lace
    """),
    # Spanish
    ("body", 0.95, "zapato zapatilla bota cinturon casco armadura espada escudo guante gafas"),
    ("body", 0.6, "piel sombrero gorra cola cuerno"),
    ("body", 0.4, "cuerpo mano pierna brazo pecho torso"),
    ("face", 0.9, "cara rostro ojo diente lengua boca labio nariz ceja pestana oreja encia"),
    ("face", 0.7, "cabeza"),
    ("hair", 0.92, "pelo cabello flequillo trenza coleta barba bigote peluca melena coladecaballo"),
    ("garment", 0.9, """
        vestido falda camisa camiseta blusa pantalon pantalones chaqueta abrigo capa bufanda traje ropa sueter
        chaleco tunica manto velo corbata delantal calcetin calcetines sudadera chal uniforme prenda rebozo pollera
        calzoncillo braga medias sosten
    """),
    ("garment", 0.7, "manga tela"),
    # Portuguese
    ("body", 0.95, "sapato tenis cinto capacete luva oculos"),
    ("body", 0.6, "pele chapeu rabo"),
    ("body", 0.4, "corpo mao perna braco peito"),
    ("face", 0.9, "rosto olho sobrancelha cilio orelha gengiva"),
    ("face", 0.7, "cabeca"),
    ("hair", 0.92, "cabelo tranca rabodecavalo bigode peruca"),
    ("garment", 0.9, """
        saia calca casaco jaqueta cachecol roupa terno avental gravata meia sutia calcinha cueca moletom veu colete
        agasalho bermuda macacao paleto xale
    """),
    ("garment", 0.7, "tecido"),
    # French
    ("body", 0.95, "chaussure botte ceinture casque armure epee bouclier gant lunettes basket talon"),
    ("body", 0.6, "peau chapeau bonnet casquette corne queue"),
    ("body", 0.4, "corps jambe bras pied poitrine torse"),
    ("face", 0.9, "visage oeil yeux dent langue bouche levre nez sourcil cil cils oreille gencive paupiere"),
    ("face", 0.7, "tete"),
    ("hair", 0.92, "cheveu cheveux coiffure natte tresse barbe perruque criniere chignon queuedecheval meche"),
    ("garment", 0.9, """
        jupe jupon chemise chemisier manteau gilet echarpe vetement tunique chandail tablier cravate chaussette
        collant soutiengorge blouson voile chale foulard culotte salopette toge peignoir costume debardeur
    """),
    ("garment", 0.7, "tissu habit"),
    # German
    ("body", 0.95, "schuh schuhe stiefel gurtel rustung schwert schild handschuh brille panzer schnalle"),
    ("body", 0.6, "haut hut mutze schwanz horner"),
    ("body", 0.4, "korper koerper bein beine arme hande fuss fusse rumpf"),
    ("face", 0.9, """
        gesicht auge augen augapfel zahn zahne zaehne zunge mund lippe lippen nase augenbraue augenbrauen braue
        brauen wimper wimpern ohr ohren augenlid zahnfleisch
    """),
    ("face", 0.7, "kopf"),
    ("hair", 0.92, """
        haar haare zopf zopfe zoepfe pferdeschwanz schnurrbart perucke strahne locke locken mahne frisur dutt
    """),
    ("hair", 0.35, "bart"),
    ("hair", 0.7, "fell"),
    ("garment", 0.35, "rock hose"),
    ("garment", 0.9, """
        kleid kleider hemd jacke mantel umhang schal armel aermel bluse pulli weste kleidung gewand tunika strumpf
        strumpfe socken strumpfhose schurze krawatte kapuze schleier anzug unterwasche kutte kittel halstuch hosen
        oberteil mieder unterrock unterkleid
    """),
    ("garment", 0.7, "stoff tuch kragen"),
    # Italian
    ("body", 0.95, "scarpa scarpe stivale stivali cintura elmo armatura spada scudo guanto guanti occhiali"),
    ("body", 0.6, "pelle cappello corna coda"),
    ("body", 0.4, "braccia gamba gambe mani piede piedi busto"),
    ("face", 0.9, """
        viso faccia volto occhio occhi dente denti lingua bocca labbra labbro naso sopracciglia sopracciglio ciglia
        ciglio orecchio orecchie gengive
    """),
    ("face", 0.7, "testa"),
    ("hair", 0.92, "capelli capello treccia trecce baffi parrucca chioma codadicavallo criniera ciuffo"),
    ("garment", 0.9, """
        gonna gonne vestito vestiti camicia camicetta maglia maglietta maglione pantalone pantaloni giacca giubbotto
        cappotto mantello sciarpa manica maniche grembiule calze calzini abito tuta felpa cravatta scialle cappuccio
        canottiera pantaloncini indumento reggiseno mutande
    """),
    ("garment", 0.7, "tessuto stoffa"),
    # Polish
    ("body", 0.95, "buty sandaly pasek miecz tarcza helm zbroja rekawiczki rekawiczka okulary naszyjnik plecak"),
    ("body", 0.6, "kapelusz czapka skora ogon rogi guzik guziki"),
    ("body", 0.4, "cialo reka noga nogi dlon stopa stopy"),
    ("face", 0.9, "twarz oko oczy brwi rzesa rzesy zab zeby jezyk powieka powieki"),
    ("face", 0.7, "glowa"),
    ("hair", 0.92, "wlosy wlos warkocz warkocze grzywka broda wasy kucyk peruka"),
    ("garment", 0.9, """
        spodnica koszula koszulka plaszcz spodnie fartuch szalik szal kurtka peleryna sukienka suknia bluzka kamizelka
        rajstopy skarpeta skarpety krawat szata rekaw rekawy kaptur kombinezon zakiet
    """),
    # romanised Japanese
    ("hair", 0.85, "kami maegami ushirogami"),
    ("face", 0.8, "kao hitomi matsuge mayuge"),
    ("garment", 0.85, "fuku seifuku"),
)

# what may stand before a word without a space, in lower case
MODIFIERS = tuple(
    [
        "casual",
        "elegant",
        "sports",
        "sport",
        "work",
        "swim",
        "swimming",
        "long",
        "short",
        "mini",
        "midi",
        "maxi",
        "under",
        "over",
        "leather",
        "denim",
        "wedding",
        "evening",
        "male",
        "female",
        "mens",
        "womens",
        "school",
        "night",
        "sun",
        "ball",
        "rain",
        "bath",
        "sweat",
        "tank",
        "crop",
        "cargo",
        "polo",
        "flannel",
        "winter",
        "summer",
        "dress",
        "head",
        "foot",
        "hand",
        "knee",
        "ankle",
        "high",
        "low",
        "combat",
        "army",
        "space",
        "bike",
        "ski",
        "running",
        "basic",
        "fancy",
        "formal",
        "wool",
        "cotton",
        "silk",
        "base",
        "inner",
        "outer",
        "upper",
        "lower",
        "front",
        "back",
        "left",
        "right",
        "hair",
        "high",
        "poly",
    ]
)
# the last part of a compound
_ENDS: tuple[tuple[str, float, str], ...] = (
    ("body", 0.95, """
        shoes boots sneakers sandals helmet armor armour gloves sword schuh schuhe stiefel gurtel rustung helm
        schwert shoe boot kappe
    """),
    ("face", 0.85, "eyes teeth eyelashes eyebrows augen wimpern brauen"),
    ("hair", 0.85, "hair hairs beard ponytail braids haar haare frisur"),
    ("garment", 0.85, """
        shirt shirts skirt skirts jacket gown cloak sweater hoodie blouse jeans trousers leggings jumpsuit bodysuit
        kimono kleid jacke mantel hemd bluse umhang pullover schurze anzug weste unterrock minirock faltenrock
        lederhose jeanshose unterhose latzhose jogginghose kleidung oberteil
    """),
)
# the first part of one
_STARTS: tuple[tuple[str, float, str], ...] = (
    ("face", 0.8, "eye augen wimper zahn lippen"),
    ("hair", 0.8, "hair haar"),
    ("garment", 0.75, "cloth kleider"),
)

_RUSSIAN: tuple[tuple[str, float, str], ...] = (
    ("body", 0.95, """
        обув ботин сапог туфл кроссовк ремень ремн пояс шлем брон доспех меч оружи перчатк варежк очк щит тапк
        сандал рюкзак сумк кольц серьг
    """),
    ("body", 0.6, "кож шапк шляп кепк маск хвост рог крыл ногт скин"),
    ("body", 0.4, "тел туловищ рук ног нога груд ше"),
    ("face", 0.9, "лиц глаз зуб язык рот рта губ бров ресниц нос десн зрач радужк век"),
    ("face", 0.7, "голов ух уш"),
    ("hair", 0.92, """
        волос прическ причесок челк бород ус усы коса косы косич хвостик парик шевелюр грив локон мех пряд
    """),
    ("garment", 0.9, """
        юбк плать рубаш брюк штан куртк пальто плащ шарф рукав одежд кофт свитер футболк галстук жилет халат пиджак
        костюм сарафан фартук шуб накидк манти майк джинс блуз носки носок колгот чулк чулок трус лифчик белье туник
        ряс кимоно толстовк худи капюшон шорт комбинезон купальник платок платк мундир лент воротник ткан шал вуал
    """),
)

_UNSPACED: tuple[tuple[str, float, str], ...] = (
    # Japanese
    ("body", 0.95, """
        靴 ブーツ シューズ スニーカー サンダル ヒール パンプス 草履 下駄 ベルト ヘルメット 兜 鎧 アーマー 剣 刀 武器
        盾 銃 手袋 グローブ 眼鏡 メガネ めがね サングラス 耳飾り 首飾り ネックレス イヤリング ピアス 指輪 鞄 バッグ
        リュック 腕時計 時計
    """),
    ("body", 0.6, "帽子 帽 ハット キャップ 仮面 マスク 角 羽 翼 尻尾 しっぽ 爪 アクセサリー 肌 スキン 皮膚 素肌"),
    ("body", 0.4, "体 身体 素体 ボディ ボディー からだ 腕 足 脚 手 首 胴 胸 胴体 上半身 下半身"),
    ("face", 0.9, """
        顔 フェイス 目 眼 瞳 白目 黒目 目玉 眼球 虹彩 歯 歯茎 舌 口 口内 口腔 唇 眉 眉毛 まゆ まゆげ まゆ毛 まつげ
        まつ毛 睫毛 睫 鼻 まぶた 瞼 アイライン ハイライト 瞳孔 眼白
    """),
    ("face", 0.7, "頭 頭部 耳 あたま"),
    ("hair", 0.92, """
        髪 髪の毛 前髪 後ろ髪 後髪 横髪 もみあげ アホ毛 あほ毛 ツインテール ポニーテール ツインテ ポニテ おさげ
        三つ編み ヘア ヘアー 髭 ひげ ヒゲ 口髭 お団子 まとめ髪 かみ かつら ウィッグ 毛 たてがみ 体毛 髪型
    """),
    ("hair", 0.7, "毛皮 ファー"),
    ("garment", 0.9, """
        服 上着 衣装 衣服 洋服 和服 制服 セーラー服 シャツ ティーシャツ ブラウス スカート ズボン パンツ
        ショートパンツ ワンピース ドレス コート ジャケット ベスト パーカー セーター ニット カーディガン マント
        ケープ マフラー スカーフ ストール ネクタイ リボン エプロン スーツ レギンス タイツ ストッキング ソックス 靴下
        水着 ビキニ ローブ 着物 浴衣 袴 羽織 振袖 袖 袖口 襟 下着 ブラジャー 外套 ジーンズ デニム トップス ボトムス
        布 衣 裾 フリル 体操服 メイド服 ユニフォーム キャミソール タンクトップ パジャマ ふく
    """),
    ("garment", 0.8, "フード 帯 クロス"),
    # Chinese, simplified and traditional
    ("body", 0.95, """
        鞋 鞋子 靴子 运动鞋 高跟鞋 腰带 皮带 腰帶 头盔 頭盔 盔甲 铠甲 鎧甲 剑 劍 盾牌 手套 眼镜 眼鏡 墨镜 耳环 项链
        戒指 背包 包 首饰 武器 护甲 护腕 护膝 头饰
    """),
    ("body", 0.6, "皮肤 皮膚 肌肤 面具 尾巴 翅膀 指甲 饰品"),
    ("body", 0.4, "身体 身體 躯干 手臂 腿 脚 脖子 胸部 人体"),
    ("face", 0.9, "脸 脸部 臉 面部 眼睛 眼珠 牙 牙齿 牙齒 舌头 舌頭 嘴 嘴巴 嘴唇 鼻子 眼皮 口腔 瞳孔 睫"),
    ("face", 0.7, "头 头部 耳朵"),
    ("hair", 0.92, """
        头发 頭髮 头髮 发 髮 前发 后发 刘海 劉海 马尾 馬尾 辫子 辮子 双马尾 发型 发髻 胡子 鬍子 胡须 鬍鬚 假发 鬃毛
        毛发
    """),
    ("garment", 0.9, """
        上衣 下衣 大衣 内衣 內衣 毛衣 雨衣 风衣 風衣 外衣 睡衣 泳衣 裙 裙子 短裙 长裙 连衣裙 百褶裙 裤 裤子 褲子 褲
        短裤 长裤 牛仔裤 内裤 衫 衬衫 襯衫 恤 袍 长袍 披风 披風 斗篷 披肩 围巾 圍巾 旗袍 汉服 漢服 和服 外套 夹克
        夾克 西装 西裝 马甲 背心 领带 領帶 袜 袜子 襪子 丝袜 袖子 衣袖 飘带 丝带 布料 校服 服装 服裝 礼服 婚纱 面纱
        围裙 衣领 领结 裙摆 裤袜 卫衣 兜帽
    """),
    # Korean
    ("body", 0.95, """
        신발 부츠 구두 운동화 샌들 벨트 허리띠 헬멧 투구 갑옷 검 무기 방패 장갑 안경 귀걸이 목걸이 반지 가방 배낭
        시계
    """),
    ("body", 0.6, "모자 가면 마스크 꼬리 날개 뿔 피부 스킨 손톱"),
    ("body", 0.4, "몸 몸통 바디 팔 다리 손 발 목 가슴 신체"),
    ("face", 0.9, "얼굴 눈 눈알 눈동자 눈썹 속눈썹 이빨 치아 혀 입 입술 코 잇몸 안구 페이스"),
    ("face", 0.7, "귀 두상"),
    ("hair", 0.92, "머리카락 앞머리 뒷머리 옆머리 머리 헤어 포니테일 트윈테일 수염 콧수염 턱수염 가발 털 땋은머리"),
    ("garment", 0.9, """
        옷 의상 의류 상의 하의 치마 스커트 바지 반바지 청바지 셔츠 티셔츠 와이셔츠 드레스 원피스 망토 목도리 스카프
        코트 재킷 자켓 조끼 한복 저고리 소매 니트 스웨터 양말 스타킹 속옷 교복 유니폼 넥타이 리본 앞치마 블라우스
        가디건 후드티 로브 팬츠 수영복 레깅스 정장 기모노 외투 점퍼 잠옷
    """),
    ("garment", 0.8, "후드"),
    ("garment", 0.72, "천 口袋"),
    ("garment", 0.9, "领口 領口 襟元 头巾 頭巾"),
    # words that hold others and say nothing
    ("", 0.0, """
        发光 開発 开发 发射 毛孔 目录 目標 目标 項目 项目 出口 入口 衣柜 服务 ユニット マントル 검은 검정 발광 발레
        귀여운 천사 천장 옷장 목재 손잡이 코어 코드 팔레트 입자 개발 천연
    """),
)
# fmt: on


def _table(lines: tuple[tuple[str, float, str], ...]) -> dict[str, Said]:
    """Word -> (region, strength); what stands first stays."""
    words: dict[str, Said] = {}
    for region, strength, text in lines:
        for word in text.split():
            words.setdefault(word, (region, strength))
    return words


LETTERS = _table(_LATIN)
COMPOUND_ENDS = dict(sorted(_table(_ENDS).items(), key=lambda pair: -len(pair[0])))
COMPOUND_STARTS = _table(_STARTS)
RUSSIAN = _table(_RUSSIAN)
UNSPACED = _table(_UNSPACED)
