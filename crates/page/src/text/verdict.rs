//! What the verdict says, in Japanese: a sentence for each kind. `{NAME}` is the figure of that name; what
//! stands in brackets is left out where one of its figures is not known.

/// Why a person must act.
pub(crate) const FINDINGS: &[(&str, &str)] = &[
    ("engine_down", "エンジンが停止しており、受付も配信も行われていません: {reason}"),
    ("storage_fails", "ストレージに書き込めず、Webhookを拒否しています"),
    ("disk_full", "ディスクの空きが残り{free_bytes}バイトしかなく、Webhookを拒否しています"),
    ("messages_damaged", "{events}件のイベントが破損して読めず、その後続が待っています"),
    ("forwarder_down", "フォワーダーが起動せず、何も配信されていません({reason})"),
    ("events_missing", "{events}件のイベントが、配信も保管もされずに不明です"),
    ("events_too_many", "受け付けた数よりイベントが{events}件多くあります"),
    ("events_near_retention", "配信が止まっており、最も古いイベントが{deleted_at}に削除されます"),
    (
        "dead_letters_near_retention",
        "デッドレターが{count}件あり、最も古いものが{deleted_at}に削除されます",
    ),
    ("not_dead_lettered", "イベント{event_id}をデッドレターにできません({since}から[、{reason}])"),
    (
        "secret_unavailable",
        "[ルート{route}の]シークレットを取得できず({since}から[、{reason}])、{keys}個のキーが待っています",
    ),
    (
        "near_give_up",
        "[ルート{route}の][送信先{destination}への]配信が{since}から失敗しており[({reason})]、最初のイベントは{give_up_at}に断念されます",
    ),
    (
        "events_stuck",
        "{oldest_at}に受け付けたイベントが、理由が分からないまま待っています(全{events}件)",
    ),
    ("key_blocked", "キー{key}は{since}から判断を待っています[({reason})]"),
    ("dead_letters_present", "デッドレターが{count}件あります[(最も古いものは{oldest_at}から)]"),
    (
        "paused",
        "{name}が[{since}から]終了時刻なしで配信を一時停止しており、{events}件が待っています",
    ),
    ("switched_off", "誰も一時停止していないのに配信が{state}で、{events}件が待っています"),
    ("pause_not_kept", "{name}が{since}に一時停止したのに、配信が動いています"),
    ("observed", "エンジンが{condition}を検知しました({figure})"),
    ("alarm_rings", "アラーム{section}が[{since}から]鳴っています"),
    ("check_fails", "確認項目{name}が失敗しています"),
];

/// Conditions that the engine saw.
pub(crate) const OBSERVED: &[(&str, &str)] = &[
    ("Restarts", "エンジンが最近{figure}回起動しました"),
    ("Killed", "エンジンが停止の操作なしに終了し、再び動いています"),
    ("DiskFillsUp", "ディスクは1日以内に一杯になります"),
    ("InvocationErrors", "フォワーダーが最近{figure}回、異常終了または時間切れになりました"),
    ("RequestsRefused", "最近{figure}件の要求を拒否しました"),
];

/// What waits and needs nobody.
pub(crate) const WAITS: &[(&str, &str)] = &[
    ("paused", "一時停止{name}により配信を止めています[({until}まで)]"),
    (
        "destination_fails",
        "[ルート{route}の][送信先{destination}への]配信が{since}から失敗しています[({reason})]。受け取れるようになれば自動で送られます(最初のイベントの期限は{give_up_at})",
    ),
    ("alarm_rings", "そのためアラーム{section}が鳴っています"),
    ("nobody_delivers", "このエンジンにはフォワーダーがなく、受け取る側が取り出します"),
];

/// What was looked at and could not be seen.
pub(crate) const INPUTS: &[(&str, &str)] = &[
    ("storage", "ストレージ"),
    ("delivery", "配信の状態"),
    ("pauses", "誰が一時停止したか"),
    ("oldest_event", "最も古いイベント"),
    ("keys", "待っているキー"),
    ("limits", "期限の設定"),
    ("loss_meter", "不明なイベントの数"),
    ("conditions", "エンジンの自己点検"),
    ("alarms", "アラーム"),
];

/// What can be done about an event.
pub(crate) const CAN_DO: &[(&str, &str)] = &[
    ("resume", "配信を再開する(一時停止中です)"),
    ("show_head", "同じキーの先頭のイベントを確認する(それを待っています)"),
    ("await_turn", "待つ: 順番が来れば自動で配信されます"),
    ("await_attempt", "待つ: 試行中か、受信されたばかりです"),
    ("await_schedule", "待つ: 上記の「次の試行」の時刻に自動で試行されます"),
    ("await_destination", "送信先がRetry-Afterで待つよう求めているため、今は試行できません"),
    ("retry", "今すぐ試行する"),
    ("skip", "キーから外し、デッドレターにする"),
    ("redrive", "もう一度送る"),
    ("edit", "本文を変えてもう一度送る"),
    ("drop", "削除する(写しをファイルに残します)"),
    ("repeat", "再送の印を付けてもう一度送る"),
    ("nothing", "対応は不要です: 送信先に届いています。送信元は別のイベントとして再送できます"),
    ("blocked", "そのキーが待っているか確認する"),
    ("list", "デッドレターになっていないか確認する"),
];

/// Why a test event would come to nothing.
pub(crate) const OBSTACLES: &[(&str, &str)] = &[
    ("path_parameters", "パス{path}には送信元が決める値があります。curlで送ってください"),
    (
        "unsigned",
        "署名を検証するルートですが、ここでは署名できず、検証できないデッドレターになります。送信元からテスト用のWebhookを送ってください",
    ),
    ("lacks", "{what}のないイベントは拒否されます。コマンドの--bodyと--headerで渡してください"),
];

/// The sentence for a kind.
pub(crate) fn of(table: &[(&str, &'static str)], kind: &str) -> Option<&'static str> {
    table.iter().find(|(name, _)| *name == kind).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of an enum's variants as JSON has them, and the fields of each.
    fn variants(source: &str, name: &str) -> Vec<(String, Vec<String>)> {
        let (_, body) = source.split_once(&format!(" enum {name} {{\n")).unwrap();
        let (body, _) = body.split_once("\n}\n").unwrap();
        let mut variants: Vec<(String, Vec<String>)> = Vec::new();
        for line in body.lines() {
            let word = line.trim_start();
            let name: String =
                word.chars().take_while(|it| it.is_alphanumeric() || *it == '_').collect();
            match line.len() - word.len() {
                4 if word.starts_with(|it: char| it.is_ascii_uppercase()) => {
                    let snake = name.char_indices().map(|(at, it)| {
                        let before = if at > 0 && it.is_ascii_uppercase() { "_" } else { "" };
                        format!("{before}{}", it.to_ascii_lowercase())
                    });
                    variants.push((snake.collect(), Vec::new()));
                }
                8 if word.starts_with(|it: char| it.is_ascii_lowercase()) => {
                    variants.last_mut().unwrap().1.push(name);
                }
                _ => {}
            }
        }
        variants
    }

    #[test]
    fn every_kind_has_a_sentence_and_every_figure_in_it_is_there() {
        let domain = include_str!("../../../domain/src/verdict/mod.rs");
        let test_event = include_str!("../../../domain/src/test_event.rs");
        let can_do = include_str!("../../../operator/src/show/can_do.rs");
        for (source, name, table) in [
            (domain, "Finding", FINDINGS),
            (domain, "Wait", WAITS),
            (domain, "Input", INPUTS),
            (can_do, "Kind", CAN_DO),
            (test_event, "Obstacle", OBSTACLES),
        ] {
            let variants = variants(source, name);
            let kinds: Vec<&str> = variants.iter().map(|(kind, _)| kind.as_str()).collect();
            let told: Vec<&str> = table.iter().map(|(kind, _)| *kind).collect();
            assert_eq!(told, kinds, "{name}");
            for ((kind, text), (_, fields)) in table.iter().zip(&variants) {
                assert!(!text.is_ascii(), "{kind}");
                for part in text.split('{').skip(1) {
                    let field = part.split('}').next().unwrap();
                    assert!(fields.iter().any(|it| it == field), "{kind}: {field} of {fields:?}");
                }
            }
        }
    }
}
