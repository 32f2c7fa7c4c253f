"""Which language a task of lm-evaluation-harness is said to be in: by its file or by a fact of its dataset, and never by a guess.

Names, datasets and configurations are those of lm-eval 0.4.13's own files.
"""

import pytest

from harness.data.languages import UNDETERMINED, languages
from harness.planning.catalog.catalog import Catalog
from harness.planning.catalog.lm_eval_files.languages import language_of

LLAMA = "meta-llama/Llama-3.1-8B-Instruct-evals"
IN_ONE = [
    # Codes and English names that are the configuration.
    ("xnli_de", "facebook/xnli", "de", "de"),
    ("mela_is", "Geralt-Targaryen/MELA", "is", "is"),
    ("xcopa_id", "cambridgeltl/xcopa", "id", "id"),
    ("m_mmlu_nb", "alexandrainst/m_mmlu", "nb", "nb"),
    ("global_mmlu_full_am_abstract_algebra", "CohereForAI/Global-MMLU", "am", "am"),
    ("global_mmlu_full_ha_abstract_algebra", "CohereForAI/Global-MMLU", "ha", "ha"),
    ("multiblimp_kpv", "jumelet/multiblimp", "kpv", "kpv"),
    ("multiblimp_fas", "jumelet/multiblimp", "fas", "fa"),
    ("include_base_44_albanian_arts_humanities", "CohereForAI/include-base-44", "Albanian", "sq"),
    ("include_base_44_albanian_few_shot_en_arts_humanities", "CohereForAI/include-base-44", "Albanian", "sq"),
    ("include_base_44_north macedonian_stem", "CohereForAI/include-base-44", "North Macedonian", "mk"),
    ("include_base_44_chinese_stem", "CohereForAI/include-base-44", "Chinese", "zh"),
    ("crows_pairs_french_socioeconomic", "jannalu/crows_pairs_multilingual", "french", "fr"),
    ("xlsum_kirundi_prompt_1", "csebuetnlp/xlsum", "kirundi", "rn"),
    ("afrixnli_en_direct_amh", "masakhane/afrixnli", "amh", "am"),
    ("xquad_ro", "google/xquad", "xquad.ro", "ro"),
    ("mlqa_zh_zh", "facebook/mlqa", "mlqa.zh.zh", "zh"),
    # Codes with a script, in either case; another script than the table's is another language.
    ("belebele_fuv_Latn", "facebook/belebele", "fuv_Latn", "fuv"),
    ("belebele_zho_Hant", "facebook/belebele", "zho_Hant", "zh"),
    ("belebele_kor_Hang", "facebook/belebele", "kor_Hang", "ko"),
    ("belebele_hin_Deva", "facebook/belebele", "hin_Deva", "hi"),
    ("belebele_hin_Latn", "facebook/belebele", "hin_Latn", "hi_Latn"),
    ("belebele_als_Latn", "facebook/belebele", "als_Latn", "sq"),
    ("belebele_glg_Latn", "proxectonos/belebele_gl", None, "gl"),
    ("global_piqa_nonparallel_cloze_glg_latn", "mrlbenchmarks/global-piqa-nonparallel", "glg_latn", "gl"),
    ("global_piqa_nonparallel_cloze_tam_latn", "mrlbenchmarks/global-piqa-nonparallel", "tam_latn", "ta_Latn"),
    ("global_piqa_nonparallel_cloze_spa_latn_mexi", "mrlbenchmarks/global-piqa-nonparallel", "spa_latn_mexi", "es"),
    ("global_piqa_nonparallel_cloze_srp_cyrl_torl", "mrlbenchmarks/global-piqa-nonparallel", "srp_cyrl_torl", "sr"),
    # Configurations and names that hold more than the language.
    ("mmmlu_ar_xy_abstract_algebra", "openai/MMMLU", "AR_XY", "ar"),
    ("mmlu_it_llama_anatomy", LLAMA, "Llama-3.1-8B-Instruct-evals__multilingual_mmlu_it__details", "it"),
    ("bhs__basque__DO__S_DO_V_AUX", "jmichaelov/bhs", "basque-DO-S_DO_V_AUX", "eu"),
    ("toksuite_turkish_canonical", "toksuite/toksuite_turkish", "toksuite_turkish_canonical", "tr"),
    ("toksuite_math_farsi", "toksuite/toksuite_math", "toksuite_math_farsi", "fa"),
    ("eus_exams_es_ejtecnico", "HiTZ/EusExams", "es_ejtecnico", "es"),
    ("tydiqa_goldp_id", "google-research-datasets/tydiqa", "secondary_task", "id"),
    ("uhura-arc-easy_am_prompt_1", "masakhane/uhura-arc-easy", "am_multiple_choice", "am"),
    ("qa4mre_2011", "community-datasets/qa4mre", "2011.main.EN", "en"),
    ("xwinograd_jp", "Muennighoff/xwinograd", "jp", "ja"),
    ("indicparam_konkani", "bharatgenai/IndicParam", "IndicParam", "kok"),
    ("pisa_it", "PisaBench/pisa-bench", None, "it"),
    # Benchmarks in one language.
    ("kmmlu_accounting", "HAERAE-HUB/KMMLU", "Accounting", "ko"),
    ("cmmlu_agronomy", "haonan-li/cmmlu", "agronomy", "zh"),
    ("ceval-valid_accountant", "ceval/ceval-exam", "accountant", "zh"),
    ("tmmluplus_linear_algebra", "csv", None, "zh"),
    ("arabicmmlu_arabic_language_high_school", "MBZUAI/ArabicMMLU", "Arabic Language (High School)", "ar"),
    ("darijammlu_management_ar", "MBZUAI-Paris/DarijaMMLU", "management_ar", "ary"),
    ("turkishmmlu_biology", "AYueksel/TurkishMMLU", "Biology", "tr"),
    ("greekmmlu_accounting", "dascim/GreekMMLU", "Accounting", "el"),
    ("mmlu_abstract_algebra_generative_spanish", "amias-mx/mmlu-redux-2.0-spanish", "abstract_algebra", "es"),
    ("truthfulqa_va", "gplsi/truthfulqa_va", "generation", "ca"),
    ("hellaswag", "Rowan/hellaswag", None, "en"),
    ("arc_challenge", "allenai/ai2_arc", "ARC-Challenge", "en"),
    ("truthfulqa_mc1", "truthfulqa/truthful_qa", "multiple_choice", "en"),
    # Words that are codes as well.
    ("blimp_expletive_it_object_raising", "nyu-mll/blimp", "expletive_it_object_raising", "en"),
    ("blimp_nl__infinitival_argument_clause__om_te", "jmichaelov/blimp_nl", "infinitival_argument_clause__om_te", "nl"),
    ("evalita-mp_te_prompt-1", "evalitahf/textual_entailment", None, "it"),
    ("agieval_lsat_ar", "hails/agieval-lsat-ar", None, "en"),
    ("agieval_gaokao_english", "hails/agieval-gaokao-english", None, "en"),
    ("agieval_gaokao_chinese", "hails/agieval-gaokao-chinese", None, "zh"),
    ("AraDiCE_boolq_msa", "QCRI/AraDiCE-BoolQ", "BoolQ-msa", "ar"),
    ("matreshka_yes_no", "ai-forever/LIBRA", "matreshka_yes_no", "ru"),
    ("bigbench_hindi_question_answering_generate_until", "hails/bigbench", "hindi_question_answering_zero_shot", "hi"),
    ("bigbench_hindu_knowledge_multiple_choice", "hails/bigbench", "hindu_knowledge_zero_shot", "en"),
    # Translated into English before it is asked.
    ("afrimgsm_translate_amh_prompt_1", "masakhane/afrimgsm-translate-test", "amh", "en"),
]  # fmt: skip
NOT_IN_ONE = [
    ("mlqa_ar_de", "facebook/mlqa", "mlqa.ar.de"),  # contexts in Arabic, questions in German
    ("afriqa_hau_prompt_1", "masakhane/afriqa-gold-passages", "hau"),  # questions in Hausa, answers in English
    ("bigbench_chinese_remainder_theorem_generate_until", "hails/bigbench", "chinese_remainder_theorem_zero_shot"),
    ("bigbench_swedish_to_german_proverbs_multiple_choice", "hails/bigbench", "swedish_to_german_proverbs_zero_shot"),
    ("bigbench_color_generate_until", "hails/bigbench", "color_zero_shot"),
    ("bbh_zeroshot_salient_translation_error_detection", "SaylorTwift/bbh", "salient_translation_error_detection"),
    ("arithmetic_2da", "json", None),
    ("humaneval", "openai/openai_humaneval", None),
    ("acp_app_bool", "ibm-research/acp_bench", "acp_app_bool"),
    ("longbench_lcc", "Xnhyacinth/LongBench", "lcc"),
    ("longbench2_fin_multi", "recursal/longbench-v2", "financial_multi"),
    ("csatqa_li", "somebody/csatqa", "LI"),
    ("multiblimp_kxh", "jumelet/multiblimp", "kxh"),  # a code that the table lacks
]
MADE_UP = [
    ("truthfulqa_mc1_no", None, None),
    ("who_is_it", None, None),
    ("this_or_that_as_is", None, None),
    ("road_to_am", "me/road", "all"),
    ("ms_marco", "me/ms_marco", "v2.1"),
    ("color", "me/color", "default"),
    ("history_chinese_empire", "me/exams", "history"),
    ("lambada_mt", "me/lambada", None),
    ("exams_cs", "me/exams", "high_school_cs"),
    ("niah_in_german_books", "me/needles", None),  # a name alone is a fact of a file without a dataset
    ("task_xx", "me/task", "xx"),
]
TRANSLATION = [
    ("flores_eng_Latn-ace_Latn_prompt_1", "facebook/flores", "eng_Latn-ace_Latn", "sentence_ace_Latn", "ace"),
    ("flores_eng_Latn-ace_Arab_prompt_1", "facebook/flores", "eng_Latn-ace_Arab", "sentence_ace_Arab", "ace_Arab"),
    ("flores_ace_Latn-eng_Latn_prompt_1", "facebook/flores", "ace_Latn-eng_Latn", "sentence_eng_Latn", "en"),
    ("spanish_bench_flores_de-es", "facebook/flores", "all", "{{sentence_spa_Latn}}", "es"),
    ("catalan_bench_flores_ca-de", "facebook/flores", "all", "{{sentence_deu_Latn}}", "de"),
    ("ntrex_arb_Arab-eng_Latn_prompt_1", "masakhane/ntrex_african", "arb_Arab", "sentence_eng_Latn", "en"),
    ("salt_eng-teo_prompt_1", "Sunbird/salt", "text-all", "teo_text", "teo"),
    ("salt_teo-eng_prompt_1", "Sunbird/salt", "text-all", "eng_target_text", "en"),
    ("wmt14-en-fr", "wmt/wmt14", "fr-en", ' {{translation["fr"]}}', "fr"),
    ("wmt-ro-en-t5-prompt", "wmt/wmt16", "ro-en", "{{translation.ro}}", "ro"),
    ("iwslt2017-ar-en", "IWSLT/iwslt2017", "iwslt2017-en-ar", ' {{translation["en"]}}', "en"),
    ("phrases_va-es", "gplsi/ES-VA_translation_test", None, "{{es}}", "es"),
    ("mafand_fr-bbj_prompt_1", "masakhane/mafand", "fr-bbj", "", "bbj"),
    ("mafand_bbj-fr_prompt_1", "masakhane/mafand", "fr-bbj", "", "fr"),
    ("tatoeba_nno_eng_p0", "Helsinki-NLP/tatoeba_mt", "eng-nno", "sourceString", "en"),
    ("translation_en_dr_doda", "MBZUAI-Paris/DarijaBench", None, "", "ary"),
    ("translation_dr_msa_doda", "MBZUAI-Paris/DarijaBench", None, "", "ar"),
    ("translation_all_doda", "MBZUAI-Paris/DarijaBench", None, "", UNDETERMINED),
    ("flores_deu_Latn-eng_Latn", "me/flores", None, "target", UNDETERMINED),
    ("my_bench_de-es", "me/pairs", None, "{{answer}}", UNDETERMINED),
]


@pytest.mark.parametrize(("name", "dataset", "config", "lang"), IN_ONE)
def test_a_language_is_what_the_file_or_a_fact_of_the_dataset_says(name, dataset, config, lang):
    assert language_of(name=name, dataset=dataset, config=config) == lang
    assert lang in languages()


@pytest.mark.parametrize(("name", "dataset", "config"), NOT_IN_ONE + MADE_UP)
def test_rows_in_several_languages_in_none_or_in_an_unknown_one_are_undetermined(name, dataset, config):
    assert language_of(name=name, dataset=dataset, config=config) == UNDETERMINED


@pytest.mark.parametrize(("name", "dataset", "config", "answer", "lang"), TRANSLATION)
def test_translation_is_in_the_language_of_its_answers(name, dataset, config, answer, lang):
    assert language_of(name=name, dataset=dataset, config=config, answer=answer) == lang


def test_the_column_of_the_answers_of_a_file_decides(tmp_path):
    head = "task: {0}\ndataset_path: facebook/flores\ndataset_name: all\ntest_split: devtest\n"
    text = f"{head}doc_to_text: 'X: {{1}}'\ndoc_to_target: '{{2}}'\n"
    for name, source, target in (("de-es", "deu", "spa"), ("es-de", "spa", "deu")):
        fields = (f"{{{{sentence_{lang}_Latn}}}}" for lang in (source, target))
        (tmp_path / f"{name}.yaml").write_text(text.format(f"bench_flores_{name}", *fields))
    catalog = Catalog([tmp_path])
    assert catalog.task("lm_eval/bench_flores_de-es").spec.languages == ("es",)
    assert catalog.task("lm_eval/bench_flores_es-de").spec.languages == ("de",)
