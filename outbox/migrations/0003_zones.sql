-- Sending hours in a person's own zone, DST nights included, and what holds where the zone is not known.

-- The zones that this server knows: any other text is an unknown zone, never an error in the middle of a claim.
create table outbox.time_zone (
    zone text primary key
);
insert into outbox.time_zone (zone)
select name from pg_catalog.pg_timezone_names where name !~ '^(posix|right)/' and name not in ('Factory', 'localtime');

-- Which zones a country has (the tz database's own list, which is in the public domain).
create table outbox.country_zone (
    country text not null,
    zone text not null,
    primary key (country, zone)
);
create index country_zone_zone on outbox.country_zone (zone);

insert into outbox.country_zone (country, zone)
select listed.country, listed.zone
from (
    select country, unnest(zones) as zone
    from (values
        ('AD', array['Europe/Andorra']),
        ('AE', array['Asia/Dubai']),
        ('AF', array['Asia/Kabul']),
        ('AG', array['America/Antigua']),
        ('AI', array['America/Anguilla']),
        ('AL', array['Europe/Tirane']),
        ('AM', array['Asia/Yerevan']),
        ('AO', array['Africa/Luanda']),
        ('AQ', array['Antarctica/McMurdo', 'Antarctica/Casey', 'Antarctica/Davis', 'Antarctica/DumontDUrville',
            'Antarctica/Mawson', 'Antarctica/Palmer', 'Antarctica/Rothera', 'Antarctica/Syowa', 'Antarctica/Troll',
            'Antarctica/Vostok']),
        ('AR', array['America/Argentina/Buenos_Aires', 'America/Argentina/Cordoba', 'America/Argentina/Salta',
            'America/Argentina/Jujuy', 'America/Argentina/Tucuman', 'America/Argentina/Catamarca',
            'America/Argentina/La_Rioja', 'America/Argentina/San_Juan', 'America/Argentina/Mendoza',
            'America/Argentina/San_Luis', 'America/Argentina/Rio_Gallegos', 'America/Argentina/Ushuaia']),
        ('AS', array['Pacific/Pago_Pago']),
        ('AT', array['Europe/Vienna']),
        ('AU', array['Australia/Lord_Howe', 'Antarctica/Macquarie', 'Australia/Hobart', 'Australia/Melbourne',
            'Australia/Sydney', 'Australia/Broken_Hill', 'Australia/Brisbane', 'Australia/Lindeman', 'Australia/Adelaide',
            'Australia/Darwin', 'Australia/Perth', 'Australia/Eucla']),
        ('AW', array['America/Aruba']),
        ('AX', array['Europe/Mariehamn']),
        ('AZ', array['Asia/Baku']),
        ('BA', array['Europe/Sarajevo']),
        ('BB', array['America/Barbados']),
        ('BD', array['Asia/Dhaka']),
        ('BE', array['Europe/Brussels']),
        ('BF', array['Africa/Ouagadougou']),
        ('BG', array['Europe/Sofia']),
        ('BH', array['Asia/Bahrain']),
        ('BI', array['Africa/Bujumbura']),
        ('BJ', array['Africa/Porto-Novo']),
        ('BL', array['America/St_Barthelemy']),
        ('BM', array['Atlantic/Bermuda']),
        ('BN', array['Asia/Brunei']),
        ('BO', array['America/La_Paz']),
        ('BQ', array['America/Kralendijk']),
        ('BR', array['America/Noronha', 'America/Belem', 'America/Fortaleza', 'America/Recife', 'America/Araguaina',
            'America/Maceio', 'America/Bahia', 'America/Sao_Paulo', 'America/Campo_Grande', 'America/Cuiaba',
            'America/Santarem', 'America/Porto_Velho', 'America/Boa_Vista', 'America/Manaus', 'America/Eirunepe',
            'America/Rio_Branco']),
        ('BS', array['America/Nassau']),
        ('BT', array['Asia/Thimphu']),
        ('BW', array['Africa/Gaborone']),
        ('BY', array['Europe/Minsk']),
        ('BZ', array['America/Belize']),
        ('CA', array['America/St_Johns', 'America/Halifax', 'America/Glace_Bay', 'America/Moncton', 'America/Goose_Bay',
            'America/Blanc-Sablon', 'America/Toronto', 'America/Iqaluit', 'America/Atikokan', 'America/Winnipeg',
            'America/Resolute', 'America/Rankin_Inlet', 'America/Regina', 'America/Swift_Current', 'America/Edmonton',
            'America/Cambridge_Bay', 'America/Inuvik', 'America/Vancouver', 'America/Creston', 'America/Dawson_Creek',
            'America/Fort_Nelson', 'America/Whitehorse', 'America/Dawson']),
        ('CC', array['Indian/Cocos']),
        ('CD', array['Africa/Kinshasa', 'Africa/Lubumbashi']),
        ('CF', array['Africa/Bangui']),
        ('CG', array['Africa/Brazzaville']),
        ('CH', array['Europe/Zurich']),
        ('CI', array['Africa/Abidjan']),
        ('CK', array['Pacific/Rarotonga']),
        ('CL', array['America/Santiago', 'America/Coyhaique', 'America/Punta_Arenas', 'Pacific/Easter']),
        ('CM', array['Africa/Douala']),
        ('CN', array['Asia/Shanghai', 'Asia/Urumqi']),
        ('CO', array['America/Bogota']),
        ('CR', array['America/Costa_Rica']),
        ('CU', array['America/Havana']),
        ('CV', array['Atlantic/Cape_Verde']),
        ('CW', array['America/Curacao']),
        ('CX', array['Indian/Christmas']),
        ('CY', array['Asia/Nicosia', 'Asia/Famagusta']),
        ('CZ', array['Europe/Prague']),
        ('DE', array['Europe/Berlin', 'Europe/Busingen']),
        ('DJ', array['Africa/Djibouti']),
        ('DK', array['Europe/Copenhagen']),
        ('DM', array['America/Dominica']),
        ('DO', array['America/Santo_Domingo']),
        ('DZ', array['Africa/Algiers']),
        ('EC', array['America/Guayaquil', 'Pacific/Galapagos']),
        ('EE', array['Europe/Tallinn']),
        ('EG', array['Africa/Cairo']),
        ('EH', array['Africa/El_Aaiun']),
        ('ER', array['Africa/Asmara']),
        ('ES', array['Europe/Madrid', 'Africa/Ceuta', 'Atlantic/Canary']),
        ('ET', array['Africa/Addis_Ababa']),
        ('FI', array['Europe/Helsinki']),
        ('FJ', array['Pacific/Fiji']),
        ('FK', array['Atlantic/Stanley']),
        ('FM', array['Pacific/Chuuk', 'Pacific/Pohnpei', 'Pacific/Kosrae']),
        ('FO', array['Atlantic/Faroe']),
        ('FR', array['Europe/Paris']),
        ('GA', array['Africa/Libreville']),
        ('GB', array['Europe/London']),
        ('GD', array['America/Grenada']),
        ('GE', array['Asia/Tbilisi']),
        ('GF', array['America/Cayenne']),
        ('GG', array['Europe/Guernsey']),
        ('GH', array['Africa/Accra']),
        ('GI', array['Europe/Gibraltar']),
        ('GL', array['America/Nuuk', 'America/Danmarkshavn', 'America/Scoresbysund', 'America/Thule']),
        ('GM', array['Africa/Banjul']),
        ('GN', array['Africa/Conakry']),
        ('GP', array['America/Guadeloupe']),
        ('GQ', array['Africa/Malabo']),
        ('GR', array['Europe/Athens']),
        ('GS', array['Atlantic/South_Georgia']),
        ('GT', array['America/Guatemala']),
        ('GU', array['Pacific/Guam']),
        ('GW', array['Africa/Bissau']),
        ('GY', array['America/Guyana']),
        ('HK', array['Asia/Hong_Kong']),
        ('HN', array['America/Tegucigalpa']),
        ('HR', array['Europe/Zagreb']),
        ('HT', array['America/Port-au-Prince']),
        ('HU', array['Europe/Budapest']),
        ('ID', array['Asia/Jakarta', 'Asia/Pontianak', 'Asia/Makassar', 'Asia/Jayapura']),
        ('IE', array['Europe/Dublin']),
        ('IL', array['Asia/Jerusalem']),
        ('IM', array['Europe/Isle_of_Man']),
        ('IN', array['Asia/Kolkata']),
        ('IO', array['Indian/Chagos']),
        ('IQ', array['Asia/Baghdad']),
        ('IR', array['Asia/Tehran']),
        ('IS', array['Atlantic/Reykjavik']),
        ('IT', array['Europe/Rome']),
        ('JE', array['Europe/Jersey']),
        ('JM', array['America/Jamaica']),
        ('JO', array['Asia/Amman']),
        ('JP', array['Asia/Tokyo']),
        ('KE', array['Africa/Nairobi']),
        ('KG', array['Asia/Bishkek']),
        ('KH', array['Asia/Phnom_Penh']),
        ('KI', array['Pacific/Tarawa', 'Pacific/Kanton', 'Pacific/Kiritimati']),
        ('KM', array['Indian/Comoro']),
        ('KN', array['America/St_Kitts']),
        ('KP', array['Asia/Pyongyang']),
        ('KR', array['Asia/Seoul']),
        ('KW', array['Asia/Kuwait']),
        ('KY', array['America/Cayman']),
        ('KZ', array['Asia/Almaty', 'Asia/Qyzylorda', 'Asia/Qostanay', 'Asia/Aqtobe', 'Asia/Aqtau', 'Asia/Atyrau', 'Asia/Oral']),
        ('LA', array['Asia/Vientiane']),
        ('LB', array['Asia/Beirut']),
        ('LC', array['America/St_Lucia']),
        ('LI', array['Europe/Vaduz']),
        ('LK', array['Asia/Colombo']),
        ('LR', array['Africa/Monrovia']),
        ('LS', array['Africa/Maseru']),
        ('LT', array['Europe/Vilnius']),
        ('LU', array['Europe/Luxembourg']),
        ('LV', array['Europe/Riga']),
        ('LY', array['Africa/Tripoli']),
        ('MA', array['Africa/Casablanca']),
        ('MC', array['Europe/Monaco']),
        ('MD', array['Europe/Chisinau']),
        ('ME', array['Europe/Podgorica']),
        ('MF', array['America/Marigot']),
        ('MG', array['Indian/Antananarivo']),
        ('MH', array['Pacific/Majuro', 'Pacific/Kwajalein']),
        ('MK', array['Europe/Skopje']),
        ('ML', array['Africa/Bamako']),
        ('MM', array['Asia/Yangon']),
        ('MN', array['Asia/Ulaanbaatar', 'Asia/Hovd']),
        ('MO', array['Asia/Macau']),
        ('MP', array['Pacific/Saipan']),
        ('MQ', array['America/Martinique']),
        ('MR', array['Africa/Nouakchott']),
        ('MS', array['America/Montserrat']),
        ('MT', array['Europe/Malta']),
        ('MU', array['Indian/Mauritius']),
        ('MV', array['Indian/Maldives']),
        ('MW', array['Africa/Blantyre']),
        ('MX', array['America/Mexico_City', 'America/Cancun', 'America/Merida', 'America/Monterrey', 'America/Matamoros',
            'America/Chihuahua', 'America/Ciudad_Juarez', 'America/Ojinaga', 'America/Mazatlan', 'America/Bahia_Banderas',
            'America/Hermosillo', 'America/Tijuana']),
        ('MY', array['Asia/Kuala_Lumpur', 'Asia/Kuching']),
        ('MZ', array['Africa/Maputo']),
        ('NA', array['Africa/Windhoek']),
        ('NC', array['Pacific/Noumea']),
        ('NE', array['Africa/Niamey']),
        ('NF', array['Pacific/Norfolk']),
        ('NG', array['Africa/Lagos']),
        ('NI', array['America/Managua']),
        ('NL', array['Europe/Amsterdam']),
        ('NO', array['Europe/Oslo']),
        ('NP', array['Asia/Kathmandu']),
        ('NR', array['Pacific/Nauru']),
        ('NU', array['Pacific/Niue']),
        ('NZ', array['Pacific/Auckland', 'Pacific/Chatham']),
        ('OM', array['Asia/Muscat']),
        ('PA', array['America/Panama']),
        ('PE', array['America/Lima']),
        ('PF', array['Pacific/Tahiti', 'Pacific/Marquesas', 'Pacific/Gambier']),
        ('PG', array['Pacific/Port_Moresby', 'Pacific/Bougainville']),
        ('PH', array['Asia/Manila']),
        ('PK', array['Asia/Karachi']),
        ('PL', array['Europe/Warsaw']),
        ('PM', array['America/Miquelon']),
        ('PN', array['Pacific/Pitcairn']),
        ('PR', array['America/Puerto_Rico']),
        ('PS', array['Asia/Gaza', 'Asia/Hebron']),
        ('PT', array['Europe/Lisbon', 'Atlantic/Madeira', 'Atlantic/Azores']),
        ('PW', array['Pacific/Palau']),
        ('PY', array['America/Asuncion']),
        ('QA', array['Asia/Qatar']),
        ('RE', array['Indian/Reunion']),
        ('RO', array['Europe/Bucharest']),
        ('RS', array['Europe/Belgrade']),
        ('RU', array['Europe/Kaliningrad', 'Europe/Moscow', 'Europe/Kirov', 'Europe/Volgograd', 'Europe/Astrakhan',
            'Europe/Saratov', 'Europe/Ulyanovsk', 'Europe/Samara', 'Asia/Yekaterinburg', 'Asia/Omsk', 'Asia/Novosibirsk',
            'Asia/Barnaul', 'Asia/Tomsk', 'Asia/Novokuznetsk', 'Asia/Krasnoyarsk', 'Asia/Irkutsk', 'Asia/Chita',
            'Asia/Yakutsk', 'Asia/Khandyga', 'Asia/Vladivostok', 'Asia/Ust-Nera', 'Asia/Magadan', 'Asia/Sakhalin',
            'Asia/Srednekolymsk', 'Asia/Kamchatka', 'Asia/Anadyr']),
        ('RW', array['Africa/Kigali']),
        ('SA', array['Asia/Riyadh']),
        ('SB', array['Pacific/Guadalcanal']),
        ('SC', array['Indian/Mahe']),
        ('SD', array['Africa/Khartoum']),
        ('SE', array['Europe/Stockholm']),
        ('SG', array['Asia/Singapore']),
        ('SH', array['Atlantic/St_Helena']),
        ('SI', array['Europe/Ljubljana']),
        ('SJ', array['Arctic/Longyearbyen']),
        ('SK', array['Europe/Bratislava']),
        ('SL', array['Africa/Freetown']),
        ('SM', array['Europe/San_Marino']),
        ('SN', array['Africa/Dakar']),
        ('SO', array['Africa/Mogadishu']),
        ('SR', array['America/Paramaribo']),
        ('SS', array['Africa/Juba']),
        ('ST', array['Africa/Sao_Tome']),
        ('SV', array['America/El_Salvador']),
        ('SX', array['America/Lower_Princes']),
        ('SY', array['Asia/Damascus']),
        ('SZ', array['Africa/Mbabane']),
        ('TC', array['America/Grand_Turk']),
        ('TD', array['Africa/Ndjamena']),
        ('TF', array['Indian/Kerguelen']),
        ('TG', array['Africa/Lome']),
        ('TH', array['Asia/Bangkok']),
        ('TJ', array['Asia/Dushanbe']),
        ('TK', array['Pacific/Fakaofo']),
        ('TL', array['Asia/Dili']),
        ('TM', array['Asia/Ashgabat']),
        ('TN', array['Africa/Tunis']),
        ('TO', array['Pacific/Tongatapu']),
        ('TR', array['Europe/Istanbul']),
        ('TT', array['America/Port_of_Spain']),
        ('TV', array['Pacific/Funafuti']),
        ('TW', array['Asia/Taipei']),
        ('TZ', array['Africa/Dar_es_Salaam']),
        ('UA', array['Europe/Simferopol', 'Europe/Kyiv']),
        ('UG', array['Africa/Kampala']),
        ('UM', array['Pacific/Midway', 'Pacific/Wake']),
        ('US', array['America/New_York', 'America/Detroit', 'America/Kentucky/Louisville', 'America/Kentucky/Monticello',
            'America/Indiana/Indianapolis', 'America/Indiana/Vincennes', 'America/Indiana/Winamac', 'America/Indiana/Marengo',
            'America/Indiana/Petersburg', 'America/Indiana/Vevay', 'America/Chicago', 'America/Indiana/Tell_City',
            'America/Indiana/Knox', 'America/Menominee', 'America/North_Dakota/Center', 'America/North_Dakota/New_Salem',
            'America/North_Dakota/Beulah', 'America/Denver', 'America/Boise', 'America/Phoenix', 'America/Los_Angeles',
            'America/Anchorage', 'America/Juneau', 'America/Sitka', 'America/Metlakatla', 'America/Yakutat', 'America/Nome',
            'America/Adak', 'Pacific/Honolulu']),
        ('UY', array['America/Montevideo']),
        ('UZ', array['Asia/Samarkand', 'Asia/Tashkent']),
        ('VA', array['Europe/Vatican']),
        ('VC', array['America/St_Vincent']),
        ('VE', array['America/Caracas']),
        ('VG', array['America/Tortola']),
        ('VI', array['America/St_Thomas']),
        ('VN', array['Asia/Ho_Chi_Minh']),
        ('VU', array['Pacific/Efate']),
        ('WF', array['Pacific/Wallis']),
        ('WS', array['Pacific/Apia']),
        ('YE', array['Asia/Aden']),
        ('YT', array['Indian/Mayotte']),
        ('ZA', array['Africa/Johannesburg']),
        ('ZM', array['Africa/Lusaka']),
        ('ZW', array['Africa/Harare'])
    ) as countries (country, zones)
) as listed
where exists (select from outbox.time_zone known where known.zone = listed.zone);

-- The zones whose hours all have to allow a message: the person's own; unknown, every zone of their country; that unknown as well,
-- every zone of the country that the campaign's zone lies in.
create function outbox.zones_of(person_zone text, person_country text, campaign_zone text) returns text[]
language sql stable parallel safe
as $$
    select coalesce(
        (select array[known.zone] from outbox.time_zone known where known.zone = person_zone),
        (select array_agg(c.zone) from outbox.country_zone c where c.country = upper(btrim(person_country))),
        (select array_agg(c.zone) from outbox.country_zone c
         where c.country = (select home.country from outbox.country_zone home where home.zone = campaign_zone)),
        array[campaign_zone]
    )
$$;

-- Whether an instant lies within the hours (closing time excluded) in every one of the zones; no hours: always.
create function outbox.is_open(instant timestamptz, zones text[], opens time, closes time) returns boolean
language sql stable parallel safe
as $$
    select opens is null or closes is null or coalesce(bool_and(
        case when opens <= closes
            then (instant at time zone zone)::time >= opens and (instant at time zone zone)::time < closes
            else (instant at time zone zone)::time >= opens or (instant at time zone zone)::time < closes
        end
    ), true)
    from unnest(zones) as zone
$$;

-- The first instant, not before the given one, that lies within the hours everywhere; null where the zones never agree.
create function outbox.next_open(instant timestamptz, zones text[], opens time, closes time) returns timestamptz
language sql stable parallel safe
as $$
    select case when outbox.is_open(instant, zones, opens, closes) then instant else (
        select min(opening.instant)
        from unnest(zones) as zone
        cross join generate_series(0, 2) as days
        cross join lateral (
            select ((next_open.instant at time zone zone)::date + days + opens) at time zone zone as instant
        ) as opening
        where opening.instant >= next_open.instant and outbox.is_open(opening.instant, zones, opens, closes)
    ) end
$$;

-- The next closing time after an instant, in whichever zone closes first; null without hours.
create function outbox.next_close(instant timestamptz, zones text[], closes time) returns timestamptz
language sql stable parallel safe
as $$
    select min(closing.instant)
    from unnest(zones) as zone
    cross join generate_series(0, 1) as days
    cross join lateral (
        select ((next_close.instant at time zone zone)::date + days + closes) at time zone zone as instant
    ) as closing
    where closing.instant > next_close.instant
$$;

-- Which of n workers takes a contact: 0 to n - 1.
create function outbox.shard_of(contact_id text, shards integer) returns integer
language sql immutable strict parallel safe
as $$ select (hashtext(contact_id) & 2147483647) % shards $$;
